"""Judging a request to create, before anything is made of it.

Theory of operation. A request brings runtime options and a bundle with an OCI spec. What the
options say of the container becomes part of the spec; then the spec must agree with the rest of
them. What comes out is the spec as it counts. The order of the checks is that of the contract, so
that of two mistakes the same one is told as ever. Apart from reading the bundle all is pure.

Every member that is read here has its type checked; the engine checks those that it reads.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError

from podshim.api.runhcs_options_pb2 import Options
from podshim.bundle import CONFIG, MAX_CONFIG_SIZE, BundleError
from podshim.errors import FailedPreconditionError, InvalidArgumentError, ShimError
from podshim.hcsspec import optionsmerge
from podshim.hcsspec.configfile import first_value
from podshim.hcsspec.expansion import expand
from podshim.hcsspec.predicates import is_isolated, is_lcow, is_wcow
from podshim.hcsspec.reading import Member, annotations_of
from podshim.task.runhcs import platforms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.engine import CreateRequest, Stdio, TypedValue
    from podshim.task.runhcs.host import Spec

_NEITHER = "oci spec does not contain WCOW or LCOW spec"


@dataclass(frozen=True, slots=True)
class Judged:
    """A request that may be fulfilled.

    Args:
        request: As it came.
        options: The runtime's options; the defaults if it has none.
        spec: The OCI spec, with what options and annotations add.
    """

    request: CreateRequest
    options: Options
    spec: Spec

    @property
    def id(self) -> str:
        """The id that the client has given."""
        return self.request.id

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations as they count."""
        return annotations_of(self.spec)

    @property
    def namespace(self) -> str:
        """The network namespace that the spec names; empty if none."""
        return Member(self.spec)["windows"]["network"]["networkNamespace"].text()


async def judge(request: CreateRequest) -> Judged:
    """Read and check a request.

    Raises:
        ShimError: It can't be fulfilled; the class and the text say why.
    """
    options = decode_options(request.options)
    spec = await asyncio.to_thread(_read, request)
    return Judged(request, options, judged_spec(spec, options, request.stdio))


def decode_options(value: TypedValue | None) -> Options:
    """Read the runtime options.

    Raises:
        ShimError: They are of a type that nobody knows, or not what their type says.
        InvalidArgumentError: They are of another type than this runtime's.
    """
    if value is None:
        return Options()
    if value.type_name == Options.DESCRIPTOR.full_name:
        try:
            return Options.FromString(value.value)
        except DecodeError as error:
            raise ShimError(f"runtime options: {error}") from error
    try:
        descriptor_pool.Default().FindMessageTypeByName(value.type_name)
    except KeyError:
        raise ShimError(f"type with url {value.type_url}: not found") from None
    raise InvalidArgumentError(
        f"runtime options must be {Options.DESCRIPTOR.full_name}, not {value.type_name}"
    )


def judged_spec(spec: Mapping[str, object], options: Options, stdio: Stdio) -> Spec:
    """The spec as it counts.

    Args:
        spec: As the bundle has it.
        options: The runtime's.
        stdio: The init's streams.

    Raises:
        ShimError: It contradicts itself, the options or the streams.
    """
    given = options != Options()
    annotations = expand(optionsmerge.merge(annotations_of(spec), options if given else None))
    judged: dict[str, object] = {**spec, "annotations": annotations}
    judged = _isolated_as_told(judged, options) if given else judged
    if given and options.sandbox_platform:
        _check_platform(judged, options.sandbox_platform)
    if not Member(judged)["windows"]["hyperv"].present:
        if not Member(judged)["windows"].present:
            if is_lcow(judged):
                raise FailedPreconditionError("config.json: windows must be an object")
            raise FailedPreconditionError(_NEITHER)
        judged["root"] = Member(judged)["root"].members()
    check_streams(stdio)
    return judged


def check_streams(stdio: Stdio) -> None:
    """Refuse a terminal with a standard error of its own.

    Raises:
        FailedPreconditionError: It has one.
    """
    if stdio.terminal and stdio.stderr:
        raise FailedPreconditionError("if using terminal, stderr must be empty")


def _read(request: CreateRequest) -> dict[str, object]:
    path = request.bundle.file(CONFIG)
    try:
        spec = first_value(request.bundle.read(CONFIG, MAX_CONFIG_SIZE))
    except BundleError as error:
        raise ShimError(str(error)) from error
    except OSError as error:
        raise ShimError(f"open {path}: {error.strerror}") from error
    except ValueError as error:
        raise ShimError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(spec, dict):
        raise ShimError(f"{path} is not a JSON object")
    return spec


def _isolated_as_told(spec: dict[str, object], options: Options) -> dict[str, object]:
    if options.sandbox_isolation == Options.HYPERVISOR:
        windows = Member(spec)["windows"].members()
        return {**spec, "windows": {**windows, "hyperv": windows.get("hyperv") or {}}}
    if is_isolated(spec):
        value = options.sandbox_isolation
        names = Options.SandboxIsolation
        name = names.Name(value) if value in names.values() else str(value)
        raise ShimError(
            f"invalid runtime sandbox isolation ({name}) for hypervisor isolated OCI spec"
        )
    return spec


def _check_platform(spec: Spec, specifier: str) -> None:
    try:
        platform = platforms.parse(specifier)
    except InvalidArgumentError as error:
        text = f"invalid runtime sandbox platform: {error.detail}"
        raise InvalidArgumentError(text) from error
    if platform.os == "windows":
        if is_lcow(spec):
            raise ShimError(
                f"non-empty Linux config in OCI spec for Windows sandbox platform: {platform}"
            )
    elif platform.os == "linux":
        if is_wcow(spec):
            raise ShimError(
                f"empty Linux config in OCI spec for Linux sandbox platform: {platform}"
            )
    else:
        raise ShimError(f"unknown runtime sandbox platform OS: {platform}")
