"""The runtime options that a server finds on its standard input.

Theory of operation. Older containerds send the options themselves, as an `Any`; newer ones send
`BootstrapParams`, which may hold them among its extensions. The two look alike in their first two
fields, and nothing but the `Any`'s type tells them apart: an `Any` of a type that nobody knows is
read as the other. What is of a known type but no options is somebody's mistake and refused. Without
options the defaults hold.

Pure: bytes in, `Settings` or an error out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf import any_pb2, descriptor_pool
from google.protobuf.message import DecodeError

from podshim.api import bootstrap_v1_pb2, runhcs_options_pb2
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.api.runhcs_options_pb2 import Options

#: More than this is not read from standard input (containerd's own cap).
MAX_INPUT = 10 << 20

OPTIONS_TYPE = runhcs_options_pb2.Options.DESCRIPTOR.full_name
#: Levels of the contract, in lower case, as `logging` counts them; tracing is below debugging.
TRACE = 5
_LEVELS = {
    "panic": 50,
    "fatal": 50,
    "error": 40,
    "warn": 30,
    "warning": 30,
    "info": 20,
    "debug": 10,
    "trace": TRACE,
}


class OptionsError(ShimError):
    """Standard input holds no options that can be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options mean for the server.

    Args:
        level: From which level on records are logged.
        debug_type: Where they go (`Options.DebugType`).
        scrub: Whether secrets are taken out of logged documents.
        notes: What to say in the log about the options themselves.
    """

    level: int = 20
    debug_type: int = runhcs_options_pb2.Options.NPIPE
    scrub: bool = True
    notes: tuple[str, ...] = ()


def read(data: bytes) -> Options | None:
    """Find the runtime options.

    Args:
        data: All of standard input, at most `MAX_INPUT` bytes.

    Returns:
        The options; None if there are none.

    Raises:
        OptionsError: The input is too large, nothing that containerd sends, or another message.
    """
    if not data:
        return None
    if len(data) > MAX_INPUT:
        raise _unreadable(f"more than {MAX_INPUT} bytes")
    try:
        message = any_pb2.Any.FromString(data)
    except DecodeError as error:
        raise _unreadable(f"failed unmarshalling into Any: {error}") from error
    if _known(message.type_url):
        return _options(message)
    try:
        params = bootstrap_v1_pb2.BootstrapParams.FromString(data)
    except DecodeError as error:
        raise _unreadable(
            f"type with url {message.type_url} is unknown, and it is no BootstrapParams: {error}"
        ) from error
    for extension in params.extensions:
        if _type_name(extension.value.type_url) == OPTIONS_TYPE:
            return _options(extension.value)
    return None


def settings(options: Options | None) -> Settings:
    """What the options mean for the server; pure.

    Raises:
        OptionsError: The log level is none.
    """
    if options is None:
        return Settings()
    level = 10 if options.debug else 20
    notes: tuple[str, ...] = ()
    if options.log_level:
        found = _LEVELS.get(options.log_level.lower())
        if found is None:
            raise OptionsError(
                f'failed to parse shim log level "{options.log_level}": '
                f'not a valid logrus Level: "{options.log_level}"'
            )
        level = found
        if options.debug:
            notes = ("both debug and log_level are set: the log level counts",)
    scrub = options.scrub_logs if options.HasField("scrub_logs") else True
    return Settings(level, options.debug_type, scrub, notes)


def _options(message: any_pb2.Any) -> Options:
    name = _type_name(message.type_url)
    if name != OPTIONS_TYPE:
        raise _unreadable(f"unexpected runtime options type {name}")
    try:
        return runhcs_options_pb2.Options.FromString(message.value)
    except DecodeError as error:
        raise _unreadable(f"failed unmarshalling {name}: {error}") from error


def _known(type_url: str) -> bool:
    """Whether a type is one of this program's messages."""
    try:
        descriptor_pool.Default().FindMessageTypeByName(_type_name(type_url))
    except KeyError:
        return False
    return True


def _type_name(type_url: str) -> str:
    return type_url.rpartition("/")[2]


def _unreadable(detail: str) -> OptionsError:
    return OptionsError(f"failed to read shim options from stdin: {detail}")
