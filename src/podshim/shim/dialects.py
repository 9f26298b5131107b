"""Which containerd asks, and the answer that it understands.

Theory of operation. Every line of containerd starts a shim a little differently:

    containerd   standard input of start     answers that it understands
    1.6          runtime options or nothing  an address
    1.7 - 2.2    the same                    an address, JSON (1.7: version 2 at most)
    2.3 -        BootstrapParams             an address, JSON, BootstrapResult

`read` tells from the input, the environment and the command line which one asks, and gathers what
all of them say in their own places; `Asked.answer` writes the address as that one wants it. 1.7
and 2.0 to 2.2 can't be told apart, so they get JSON version 2. Input and BootstrapParams look
alike in their first two fields; BootstrapParams are those that repeat the command line's id and
namespace, and an `Any` has no other fields than these two.

Pure; of the package it imports `wire` alone, because `start` runs it.
"""

from podshim import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.shim.command import Command

PLAIN = "plain"
JSON = "json"
BOOTSTRAP = "bootstrap"

#: More than this is not read from standard input (containerd's own cap).
MAX_INPUT = 10 << 20

RUNC_OPTIONS = "containerd.runc.v1.Options"
GENERIC_OPTIONS = "runtimeoptions.v1.Options"
_LOG_LEVEL_DEBUG = -4


class DialectError(ValueError):
    """Standard input holds nothing that containerd sends."""


class Asked:
    """What a `start` was asked for, whoever asked.

    Args:
        dialect: PLAIN, JSON or BOOTSTRAP: the form of the answer.
        ttrpc_address: Where containerd takes events; empty when nobody said it.
        grpc_address: containerd's own address, as given: it goes into the socket's name.
        socket_dir: Where sockets shall be made; empty for the default.
        debug: Whether to be talkative.
        options: The runtime options, or None.
    """

    __slots__ = ("debug", "dialect", "grpc_address", "options", "socket_dir", "ttrpc_address")

    def __init__(
        self,
        dialect: str,
        *,
        ttrpc_address: str = "",
        grpc_address: str = "",
        socket_dir: str = "",
        debug: bool = False,
        options: "wire.Any | None" = None,
    ) -> None:
        self.dialect = dialect
        self.ttrpc_address = ttrpc_address
        self.grpc_address = grpc_address
        self.socket_dir = socket_dir
        self.debug = debug
        self.options = options

    def answer(self, address: str) -> bytes:
        """What to print so that the asker finds the server.

        Args:
            address: `unix://` and a path below a socket directory.
        """
        if self.dialect == BOOTSTRAP:
            return wire.bootstrap_result(3, address, "ttrpc")
        if self.dialect == JSON:
            escaped = address.replace("\\", "\\\\").replace('"', '\\"')
            return f'{{"version":2,"address":"{escaped}","protocol":"ttrpc"}}'.encode()
        return address.encode("utf-8", "surrogateescape")


def read(data: bytes, environment: "Mapping[str, str]", command: "Command") -> Asked:
    """Find out who asks and what for.

    Args:
        data: All of standard input, at most `MAX_INPUT` bytes.
        environment: The process's environment.
        command: The command line, checked.

    Raises:
        DialectError: The input is too large or nothing that containerd sends.
    """
    if len(data) > MAX_INPUT:
        raise DialectError(f"standard input is larger than {MAX_INPUT} bytes")
    try:
        params = _bootstrap(data, command)
        options = None if params is not None else _legacy_options(data)
    except wire.WireError as error:
        raise DialectError(
            f"standard input is neither BootstrapParams nor runtime options: {error}"
        ) from error
    if params is None:
        modern = "MAX_SHIM_VERSION" in environment or "GRPC_ADDRESS" in environment
        return Asked(
            JSON if modern else PLAIN,
            ttrpc_address=environment.get("TTRPC_ADDRESS", ""),
            grpc_address=command.address or environment.get("GRPC_ADDRESS", ""),
            debug=command.debug,
            options=options,
        )
    return Asked(
        BOOTSTRAP,
        ttrpc_address=params.ttrpc_address or environment.get("TTRPC_ADDRESS", ""),
        grpc_address=command.address or params.grpc_address or environment.get("GRPC_ADDRESS", ""),
        socket_dir=params.socket_dir or "",
        debug=command.debug or params.log_level <= _LOG_LEVEL_DEBUG,
        options=_extension_options(params),
    )


def _bootstrap(data: bytes, command: "Command") -> "wire.BootstrapParams | None":
    """The message, if it is one; None for an `Any` or nothing."""
    numbers = {number for number, *_ in wire.fields(data)}
    if not numbers:
        return None
    try:
        params = wire.BootstrapParams.decode(data)
    except wire.WireError:  # an Any whose value is not text
        if numbers <= {1, 2}:
            return None
        raise
    if (params.instance_id, params.namespace) == (command.id, command.namespace):
        return params
    if numbers <= {1, 2}:
        return None
    raise DialectError(
        "bootstrap parameters do not match command-line arguments: "
        f"they are for {params.namespace!r} and {params.instance_id!r}"
    )


def _legacy_options(data: bytes) -> "wire.Any | None":
    options = wire.Any.decode(data)
    return options if options.type_url else None


def _extension_options(params: "wire.BootstrapParams") -> "wire.Any | None":
    """The runtime options among the extensions: other types are for somebody else."""
    for extension in params.extensions:
        if extension.type_name.endswith(".Options"):
            return extension
    return None
