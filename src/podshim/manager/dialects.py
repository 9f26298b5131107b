"""How each line of containerd asks a shim to start, and how it reads the answer.

Theory of operation. A daemon runs `SHIM -namespace N -address A -publish-binary B -id ID start`
in the bundle. What it says beside that, and which answers it understands, changed over the years:

    line           environment      standard input                        answers
    1.6            TTRPC_ADDRESS    runtime options as an Any, or nothing  an address
    1.7            and three more   the same                              and JSON, version 2
    2.0 to 2.2     the same         the same                              and JSON, version 3
    2.3 and newer  the same         BootstrapParams                       and BootstrapResult

Everything here is pure: what to run with which input, and what the output means.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, NoReturn

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message

from podshim.api import bootstrap_v1_pb2
from podshim.errors import ShimError, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Binaries that even the newest containerd asks in the old way, by a part of their name.
_LEGACY_BINARIES = ("shim-runc-v1", "shim-runhcs-v1")
_MAX_VERSION = 3


class Containerd(Enum):
    """The lines of containerd that differ in how they start a shim."""

    V1_6 = "1.6"
    V1_7 = "1.7"
    V2_0 = "2.0"  # and 2.1 and 2.2
    V2_3 = "2.3"  # and all that came since


class AnswerError(ShimError):
    """What a shim printed is no answer that this containerd understands."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a shim serves, as its `start` said it.

    Args:
        version: The version of the task service: 2 or 3.
        address: Where to connect.
        protocol: `ttrpc` or `grpc`.
    """

    version: int
    address: str
    protocol: str = "ttrpc"


@dataclass(frozen=True, slots=True)
class Question:
    """What `start` and `delete` are told.

    Args:
        namespace: containerd's namespace.
        id: The container's or sandbox's id.
        grpc_address: containerd's own socket, as a path.
        ttrpc_address: Where containerd takes events, as a path.
        containerd: The path of the containerd executable.
        options: The runtime's options, or None.
        debug: Whether containerd runs at log level debug.
        socket_dir: Where the shim shall make its socket; told by 2.3 and newer, if not empty.
        containerd_version: What 2.3 and newer say of themselves.
    """

    namespace: str
    id: str
    grpc_address: str
    ttrpc_address: str
    containerd: str = "/usr/bin/containerd"
    options: Message | None = None
    debug: bool = False
    socket_dir: str = ""
    containerd_version: str = "v2.3.0"


def pack(message: Message | None) -> any_pb2.Any | None:
    """A message as containerd puts it into an `Any`: with its bare name as type URL.

    Args:
        message: Any message; an `Any` is taken as it is, None stays None.
    """
    if message is None or isinstance(message, any_pb2.Any):
        return message
    name = message.DESCRIPTOR.full_name
    return any_pb2.Any(type_url=name, value=message.SerializeToString())


def arguments(question: Question, action: str, bundle: str) -> list[str]:
    """The command line after the binary's name.

    Args:
        question: What to tell.
        action: `start` or `delete`.
        bundle: The bundle's path; only `delete` is told.
    """
    line = [
        *("-namespace", question.namespace),
        *("-address", question.grpc_address),
        *("-publish-binary", question.containerd),
        *("-id", question.id),
    ]
    if action == "delete":
        line += ["-bundle", bundle]
    if question.debug:
        line.append("-debug")
    return [*line, action]


def environment(
    line: Containerd, question: Question, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The environment of `start` and `delete`.

    Args:
        line: Which containerd asks.
        question: What to tell.
        inherited: The daemon's own environment.
    """
    added = {"GOMAXPROCS": "2", "TTRPC_ADDRESS": question.ttrpc_address}
    if line is not Containerd.V1_6:
        added |= {
            "MAX_SHIM_VERSION": "2",
            "GRPC_ADDRESS": question.grpc_address,
            "NAMESPACE": question.namespace,
        }
    return {**inherited, **added}


def start_input(line: Containerd, question: Question, binary: str) -> bytes:
    """What `start` finds on its standard input.

    Args:
        line: Which containerd asks.
        question: What to tell.
        binary: The shim's path: some are asked in the old way for ever.
    """
    options = pack(question.options)
    legacy = any(part in PurePath(binary).name for part in _LEGACY_BINARIES)
    if line is not Containerd.V2_3 or legacy:
        return b"" if options is None else options.SerializeToString()
    level = bootstrap_v1_pb2.LOG_LEVEL_DEBUG if question.debug else bootstrap_v1_pb2.LOG_LEVEL_INFO
    params = bootstrap_v1_pb2.BootstrapParams(
        instance_id=question.id,
        namespace=question.namespace,
        log_level=level,
        containerd_version=question.containerd_version,
        containerd_ttrpc_address=question.ttrpc_address,
        containerd_grpc_address=question.grpc_address,
        containerd_binary=question.containerd,
        socket_dir=question.socket_dir or None,
    )
    if options is not None:
        params.extensions.add().value.CopyFrom(options)
    return params.SerializeToString()


def parse_answer(line: Containerd, output: bytes) -> Answer:
    """Read what `start` printed, as this line of containerd reads it.

    Args:
        line: Which containerd asked.
        output: All of standard output and standard error.

    Raises:
        AnswerError: It names no protocol, or no address, that containerd can use.
        UnimplementedError: Its version is newer than this containerd.
    """
    if line is Containerd.V2_3:
        answer = _bootstrap_result(output) or _json(output) or _plain(output)
    elif line is Containerd.V1_6:
        answer = _plain(output)
    else:
        answer = _json(output) or _plain(output)
    newest = 2 if line is Containerd.V1_7 else _MAX_VERSION
    if answer.version > newest:
        raise UnimplementedError(f"unsupported shim version ({answer.version})")
    protocol = answer.protocol.lower()
    if protocol not in {"ttrpc", "grpc"}:
        raise AnswerError(f'unexpected protocol: "{answer.protocol}"')
    if not answer.address:
        raise AnswerError("the shim printed no address")
    return Answer(answer.version, answer.address, protocol)


def _bootstrap_result(output: bytes) -> Answer | None:
    try:
        result = bootstrap_v1_pb2.BootstrapResult.FromString(output)
    except DecodeError:
        return None
    return Answer(result.version, result.address, result.protocol)


def _json(output: bytes) -> Answer | None:
    """The answer if the output is JSON that says version 2 or more."""
    try:
        fields = json.loads(output.decode().strip(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    version = fields.get("version")
    address, protocol = fields.get("address", ""), fields.get("protocol", "")
    if type(version) is not int or not isinstance(address, str) or not isinstance(protocol, str):
        return None
    return Answer(version, address, protocol) if version >= 2 else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _plain(output: bytes) -> Answer:
    return Answer(2, output.decode("utf-8", "surrogateescape").strip())
