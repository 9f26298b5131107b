"""The standard streams of Windows containers: from named pipes of the client, or into a logger.

Theory of operation. Two ends meet here. *Upstream* is the client's: three named pipes that it
listens on and the shim dials (`pipes`), or a logging program that the shim starts and feeds
(`logger`); `kinds` says which, by the scheme of the path for standard output. The process's end is
whatever the engine has: pipes of the compute service, anonymous pipes, a pseudo console. A `Relay`
copies between the two, one task for each stream, so that a slow reader holds up nothing but its own
stream; a copy holds one chunk in memory.

    upstream = await connect(id, stdio, namespace, retry_timeout)     # when the process is made
    relay = Relay(upstream, ends)
    relay.start()                                                     # when it runs
    await relay.drain()                                               # when it has ended
    await upstream.close()                                            # always

A reader of output may come back: a write that finds its pipe broken dials again (`retry`) and goes
on with the first byte that was not taken (`backoff` says when to try, and when to give up).
"""

from podshim.engines.hcs.stdio.connect import connect
from podshim.engines.hcs.stdio.relay import ProcessEnds, Relay
from podshim.engines.hcs.stdio.upstream import Upstream

__all__ = ["ProcessEnds", "Relay", "Upstream", "connect"]
