"""The other side of a shim: make bundles, start any shim, drive it, take its events, clean up.

Theory of operation, from the bottom up; each room can be used without those above it:

    naming      a runtime's name to a shim binary (pure but for the search)
    dialects    how each line of containerd asks a shim, and reads its answer (pure)
    spec        OCI specs with sane defaults (pure)
    ends        a client's ends of streams, whatever carries them
    processes, stdio, linux, windows    what both need of each platform; `platform` picks one
    bundles     the container's folder, made and removed as containerd does
    events      the server that takes events, kind or unkind
    calls, tasks        the task service of either version; tasks and execs as objects
    shim        one container's shim: start, connect, create, kill, delete
    manager     all of it together: a small containerd

It works on Linux and on Windows, with any shim of containerd's runtime v2, not just with podshim's.
"""

from podshim.manager.dialects import (
    Answer as Answer,
    AnswerError as AnswerError,
    Containerd as Containerd,
)
from podshim.manager.ends import Ends as Ends, Reader as Reader, Writer as Writer
from podshim.manager.events import Event as Event, EventsServer as EventsServer
from podshim.manager.manager import Identity as Identity, Manager as Manager
from podshim.manager.naming import find_shim as find_shim
from podshim.manager.platform import Streams as Streams
from podshim.manager.shim import (
    Shim as Shim,
    ShimCommandError as ShimCommandError,
    runtime_info as runtime_info,
)
from podshim.manager.spec import (
    container_spec as container_spec,
    pod_annotations as pod_annotations,
    process_spec as process_spec,
)
from podshim.manager.tasks import (
    Ended as Ended,
    Exec as Exec,
    Output as Output,
    Process as Process,
    Task as Task,
)
