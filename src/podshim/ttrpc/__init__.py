"""ttrpc, the remote procedure calls between containerd and its shims, in Python.

Theory of operation, from the wire up. Every room can be used without those above it:

    frames              bytes to frames and back: ten bytes of header and a payload
    streams             what may happen on one stream, as a table
    server_connection   the whole protocol of one connection, each end: bytes in, typed events
    client_connection     out; requests in, bytes out. No I/O, no clock, no tasks
    service             methods, services, handlers: what is called, apart from how
    channel             one asyncio connection under either end: flow control both ways
    server, client      the asyncio ends: calls become tasks, events become results

The names below are the public face. They are imported when first touched, because `frames` alone
is on the path of every shim's `start`, which must stay light.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podshim.ttrpc.client import Client as Client, ClientStream as ClientStream
    from podshim.ttrpc.server import Server as Server
    from podshim.ttrpc.service import (
        CallContext as CallContext,
        Handler as Handler,
        Kind as Kind,
        MethodDescriptor as MethodDescriptor,
        Peer as Peer,
        Service as Service,
    )
    from podshim.ttrpc.status import (
        ConnectionLost as ConnectionLost,
        ProtocolError as ProtocolError,
        StatusError as StatusError,
    )

_HOMES = {
    "CallContext": "podshim.ttrpc.service",
    "Client": "podshim.ttrpc.client",
    "ClientStream": "podshim.ttrpc.client",
    "ConnectionLost": "podshim.ttrpc.status",
    "Handler": "podshim.ttrpc.service",
    "Kind": "podshim.ttrpc.service",
    "MethodDescriptor": "podshim.ttrpc.service",
    "Peer": "podshim.ttrpc.service",
    "ProtocolError": "podshim.ttrpc.status",
    "Server": "podshim.ttrpc.server",
    "Service": "podshim.ttrpc.service",
    "StatusError": "podshim.ttrpc.status",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'podshim.ttrpc' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
