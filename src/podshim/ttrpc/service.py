"""What can be called: methods, services and their handlers, apart from any connection.

Theory of operation. Generated code makes one `MethodDescriptor` for each method of a .proto file.
A client is called with a descriptor; a server is given `Service`s, which say what handles each
method. The descriptor's types are what mypy checks a call or a stub against.

The shape of a handler follows from the method's kind:

    UNARY           async def f(request, context) -> response
    CLIENT_STREAM   async def f(requests, context) -> response
    SERVER_STREAM   async def f(request, context): yield response
    BIDI            async def f(requests, context): yield response

where `requests` is an async iterator that ends when the client has said that it will send no more.
A handler runs as a task of its own. It is cancelled when its deadline passes, when its stream
fails and when its connection ends: what must not be cut short, the handler shields.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar

from google.protobuf.message import Message

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)


class Kind(Enum):
    """Which side of a method sends one message and which sends many."""

    UNARY = "unary"
    CLIENT_STREAM = "client stream"
    SERVER_STREAM = "server stream"
    BIDI = "bidi"

    @property
    def client_streams(self) -> bool:
        """Whether the client sends its messages after the request, as many as it likes."""
        return self is Kind.CLIENT_STREAM or self is Kind.BIDI

    @property
    def server_streams(self) -> bool:
        """Whether the server answers with any number of messages."""
        return self is Kind.SERVER_STREAM or self is Kind.BIDI


@dataclass(frozen=True)
class MethodDescriptor(Generic[Req, Res]):
    """One method of a service.

    Args:
        service: The service's full name on the wire, such as `containerd.task.v3.Task`.
        name: The method's name on the wire, such as `ResizePty`.
        kind: Which side streams.
        request: The class of what the client sends.
        response: The class of what the server sends.
    """

    service: str
    name: str
    kind: Kind
    request: type[Req]
    response: type[Res]

    def __str__(self) -> str:
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as the kernel knew it when it was made.

    Where users have no numbers, as on Windows, `uid` and `gid` are -1.
    """

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a handler may know of its call besides the messages.

    Args:
        metadata: What the client sent along: keys in lower case, each with its values in order.
        deadline: When the call is cancelled, in the event loop's time (s), or None for never.
        peer: Who calls, where the carrier can tell.
    """

    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deadline: float | None = None
    peer: Peer | None = None


# Any: one table holds the handlers of all message types; the generated base classes check each.
Handler: TypeAlias = Callable[[Any, CallContext], Awaitable[Any] | AsyncIterator[Any]]
Methods: TypeAlias = Mapping[str, tuple[MethodDescriptor[Any, Any], Handler]]


class Service:
    """A service as a server offers it: its name on the wire, and what handles each method.

    Args:
        name: The full name, such as `containerd.task.v3.Task`.
        methods: By the method's name on the wire, its descriptor and its handler.

    Raises:
        ValueError: A descriptor belongs to another service, or under another name.
    """

    __slots__ = ("methods", "name")

    def __init__(self, name: str, methods: Methods) -> None:
        for key, (method, _) in methods.items():
            if method.service != name or method.name != key:
                raise ValueError(f"{method} is registered as /{name}/{key}")
        self.name = name
        self.methods = dict(methods)

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {list(self.methods)})"
