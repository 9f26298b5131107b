"""What users may configure of an OCI runtime, in each form in which containerd hands it over.

Theory of operation. One frozen value, `RuntimeOptions`, has four sources:

- `containerd.runc.v1.Options`, a message with the same fields;
- `runtimeoptions.v1.Options`, what CRI sends to a runtime of any other name: a TOML table as text
  or as a file, with the keys of Go's struct (`BinaryName`, `SystemdCgroup`, ...);
- nothing at all, which means the defaults;
- `options.json` in the bundle, written at create and read back by the `delete` command, in the
  form that Go's shim uses too, so that either shim can clean up after the other.

A key or type that is not understood is refused by name: an option that silently does nothing
(`Systemdcgroups = true`) costs its user days. Protobuf is imported only where a message is decoded.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from podshim.bundle import Bundle, BundleError
from podshim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from podshim.engine import TypedValue

RUNC_OPTIONS: Final = "containerd.runc.v1.Options"
RUNTIME_OPTIONS: Final = "runtimeoptions.v1.Options"

DEFAULT_BINARY: Final = "runc"
DEFAULT_ROOT: Final = "/run/containerd/runc"

OPTIONS_FILE: Final = "options.json"
RUNTIME_FILE: Final = "runtime"

#: No table of a dozen keys is larger; a larger file is refused, not read.
MAX_SIZE: Final = 1 << 20

#: Keys of the TOML table that are known but have no effect: superseded by the API, or by `PATH`.
_IGNORED_KEYS: Final = frozenset({"taskapiaddress", "taskapiversion", "criupath", "typeurl"})


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Runtime options; the fields' names are those of the message and of `options.json`.

    Args:
        no_pivot_root: Use MS_MOVE instead of pivot_root.
        no_new_keyring: Don't make a session keyring.
        shim_cgroup: The cgroup that the shim itself joins (not the engine's business).
        io_uid: Who owns the streams of a container, as the host sees it.
        io_gid: Their group.
        binary_name: The runtime's name in PATH, or its path.
        root: Where the runtime keeps its state.
        systemd_cgroup: Whether systemd manages the cgroups.
        criu_image_path: Where the client wants a checkpoint's images.
        criu_work_path: Where CRIU may put its working files.
    """

    no_pivot_root: bool = False
    no_new_keyring: bool = False
    shim_cgroup: str = ""
    io_uid: int = 0
    io_gid: int = 0
    binary_name: str = ""
    root: str = ""
    systemd_cgroup: bool = False
    criu_image_path: str = ""
    criu_work_path: str = ""

    @property
    def binary(self) -> str:
        """The runtime's binary."""
        return self.binary_name or DEFAULT_BINARY

    @property
    def root_or_default(self) -> str:
        """The runtime's state folder, above the namespaces."""
        return self.root or DEFAULT_ROOT

    def to_json(self) -> bytes:
        """The text of `options.json`: the fields that are not at their zero value."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return json.dumps({name: value for name, value in values.items() if value}).encode()


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """What `containerd.runc.v1.CheckpointOptions` asks of a checkpoint."""

    exit: bool = False
    open_tcp: bool = False
    external_unix_sockets: bool = False
    terminal: bool = False
    file_locks: bool = False
    empty_namespaces: tuple[str, ...] = ()
    work_path: str = ""
    parent_path: str = ""


CHECKPOINT_OPTIONS: Final = "containerd.runc.v1.CheckpointOptions"


def _checked(name: str, key: str, value: object) -> object:
    """Check one value against its field's type.

    Raises:
        InvalidArgumentError: It is of another type, or out of range.
    """
    default = _DEFAULTS[name]
    if type(value) is not type(default):
        raise InvalidArgumentError(
            f"runtime option {key!r} must be {_KINDS[type(default)]}, not {value!r}"
        )
    if isinstance(value, int) and not 0 <= value < 1 << 32:
        raise InvalidArgumentError(f"runtime option {key!r} is out of range: {value}")
    return value


_DEFAULTS: Final = {item.name: item.default for item in fields(RuntimeOptions)}
_KINDS: Final[dict[type, str]] = {bool: "true or false", int: "a number", str: "a string"}
#: Go's struct names, as TOML has them, without regard to case: `binaryname` is `binary_name`.
_TOML_KEYS: Final = {name.replace("_", ""): name for name in _DEFAULTS}
_KNOWN_KEYS: Final = (
    "BinaryName, Root, SystemdCgroup, NoPivotRoot, NoNewKeyring, ShimCgroup, IoUid, IoGid,"
    " CriuImagePath, CriuWorkPath"
)


def _build(values: dict[str, object]) -> RuntimeOptions:
    return RuntimeOptions(**values)  # type: ignore[arg-type] # each value was checked by its name


def from_toml(text: bytes) -> RuntimeOptions:
    """Read the table `options` of a runtime in containerd's configuration.

    Raises:
        InvalidArgumentError: It is no TOML, or has a key or a type that is not known.
    """
    try:
        table = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"runtime options are not valid TOML: {error}") from error
    values: dict[str, object] = {}
    for key, value in table.items():
        plain = key.replace("_", "").lower()
        if plain in _IGNORED_KEYS:
            continue
        name = _TOML_KEYS.get(plain)
        if name is None:
            raise InvalidArgumentError(f"unknown runtime option {key!r} (known are {_KNOWN_KEYS})")
        values[name] = _checked(name, key, value)
    return _build(values)


def from_json(text: bytes) -> RuntimeOptions:
    """Read `options.json`; what this version does not know is left out.

    Raises:
        InvalidArgumentError: It is no JSON object, or a value has a wrong type.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"runtime options are not valid JSON: {error}") from error
    if not isinstance(table, dict):
        raise InvalidArgumentError("runtime options are not a JSON object")
    return _build(
        {name: _checked(name, name, value) for name, value in table.items() if name in _DEFAULTS}
    )


def _read_config(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise InvalidArgumentError(f"runtime options {path!r}: {error.strerror}") from error
    if len(text) > MAX_SIZE:
        raise InvalidArgumentError(f"runtime options {path!r}: larger than {MAX_SIZE} bytes")
    return text


def decode(options: TypedValue | None) -> RuntimeOptions:
    """Understand the options of a request; may read the file that they name.

    Without content they are the defaults, whatever their type.

    Raises:
        InvalidArgumentError: Their type is unknown, or what they say is not understood.
    """
    if options is None or not options.value:
        return RuntimeOptions()
    if options.type_name not in {RUNC_OPTIONS, RUNTIME_OPTIONS}:
        raise InvalidArgumentError(
            f"runtime options of type {options.type_name!r} are not understood"
            f" (known are {RUNC_OPTIONS} and {RUNTIME_OPTIONS})"
        )
    from google.protobuf.message import DecodeError

    from podshim.api import runc_options_pb2, runtime_options_pb2

    try:
        if options.type_name == RUNC_OPTIONS:
            runc = runc_options_pb2.Options.FromString(options.value)
            return _build({name: getattr(runc, name) for name in _DEFAULTS})
        generic = runtime_options_pb2.Options.FromString(options.value)
    except DecodeError as error:
        raise InvalidArgumentError(
            f"runtime options of type {options.type_name!r} can't be decoded"
        ) from error
    if generic.config_path:
        return from_toml(_read_config(generic.config_path))
    return from_toml(generic.config_body)


def decode_checkpoint(options: TypedValue | None) -> CheckpointOptions:
    """Understand the options of a checkpoint request; none are the defaults.

    Raises:
        InvalidArgumentError: Their type is unknown, or they can't be decoded.
    """
    if options is None or (not options.type_url and not options.value):
        return CheckpointOptions()
    if options.type_name != CHECKPOINT_OPTIONS:
        raise InvalidArgumentError(
            f"checkpoint options of type {options.type_name!r} are not understood"
        )
    from google.protobuf.message import DecodeError

    from podshim.api import runc_options_pb2

    try:
        message = runc_options_pb2.CheckpointOptions.FromString(options.value)
    except DecodeError as error:
        raise InvalidArgumentError("checkpoint options can't be decoded") from error
    return CheckpointOptions(
        exit=message.exit,
        open_tcp=message.open_tcp,
        external_unix_sockets=message.external_unix_sockets,
        terminal=message.terminal,
        file_locks=message.file_locks,
        empty_namespaces=tuple(message.empty_namespaces),
        work_path=message.work_path,
        parent_path=message.parent_path,
    )


def save(bundle: Bundle, options: RuntimeOptions) -> None:
    """Write `options.json` and `runtime` for whoever has to clean up.

    Raises:
        OSError: They can't be written, such as when the bundle is missing.
    """
    bundle.write(OPTIONS_FILE, options.to_json())
    bundle.write(RUNTIME_FILE, options.binary_name.encode())


def load(bundle: Bundle) -> RuntimeOptions:
    """Read back what `save`, or Go's shim, wrote; what is missing or broken gives the default."""
    try:
        options = from_json(bundle.read(OPTIONS_FILE, MAX_SIZE))
    except (OSError, BundleError, InvalidArgumentError):
        options = RuntimeOptions()
    try:
        binary = os.fsdecode(bundle.read(RUNTIME_FILE, 4096)).strip()
    except (OSError, BundleError):
        return options
    if not binary or binary == options.binary_name:
        return options
    return replace(options, binary_name=binary)
