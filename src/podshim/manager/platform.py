"""What the manager does otherwise on Windows, under one set of names.

Theory of operation. containerd's contract is one, but what it is made of is not: Unix sockets,
fifos and pidfds here, named pipes and handles there. The two families of modules offer the same
names, and this one picks the family; nothing above asks where it runs.

    ProcessHandle, run     processes that are watched and ended without races of ids; programs
    Streams                a process's streams (an `Ends`)
    LogReader              what a shim logs
    connect, serve, ...    addresses, folders: see `linux`
"""

import sys

if sys.platform == "win32":
    from podshim.manager.windows.host import (
        CONTAINERD,
        LogReader,
        clear,
        connect,
        delete_folder,
        give_to_group,
        grpc_address,
        link,
        remove_stale,
        serve,
        withdraw,
    )
    from podshim.manager.windows.processes import ProcessHandle, run
    from podshim.manager.windows.stdio import Pipes as Streams
    from podshim.transport.pipes import Listener
else:
    from podshim.manager.linux import (
        CONTAINERD,
        LogReader,
        clear,
        connect,
        delete_folder,
        give_to_group,
        grpc_address,
        link,
        remove_stale,
        serve,
        withdraw,
    )
    from podshim.manager.processes import ProcessHandle, run
    from podshim.manager.stdio import Fifos as Streams
    from podshim.transport.unix import Listener

__all__ = [
    "CONTAINERD",
    "Listener",
    "LogReader",
    "ProcessHandle",
    "Streams",
    "clear",
    "connect",
    "delete_folder",
    "give_to_group",
    "grpc_address",
    "link",
    "remove_stale",
    "run",
    "serve",
    "withdraw",
]
