"""What `-v` and `-info` tell of a shim.

`-info` is asked by containerd 2.x before the first task of a runtime: what it is, which features
it has, which mounts it wants to handle itself. It is not on the start path and uses the real
message classes.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podshim.engine import Engine


class InfoError(Exception):
    """Standard input holds no runtime options, or the engine can't describe itself."""


def version(program: str) -> str:
    """The text of `-v`: the layout of Go's shims.

    Args:
        program: The program's name.
    """
    from podshim.version import VERSION

    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"{program}:\n  Version:  {VERSION}\n  Revision: \n  Python version: {python}\n\n"


def info(engine: "type[Engine]", data: bytes) -> bytes:
    """Describe an engine.

    Args:
        engine: The engine's class.
        data: A serialized `google.protobuf.Any` with runtime options, or nothing.

    Returns:
        A serialized `containerd.types.RuntimeInfo`; the options are echoed in it.

    Raises:
        InfoError: The input is malformed.
        ShimError: The engine has no runtime to describe.
    """
    from google.protobuf.any_pb2 import Any
    from google.protobuf.message import DecodeError

    from podshim.api.types_pb2 import RuntimeInfo
    from podshim.engine import TypedValue

    options = Any()
    try:
        options.ParseFromString(data)
    except DecodeError as error:
        raise InfoError(f"runtime options: {error}") from error
    asked = TypedValue(options.type_url, options.value) if options.type_url else None
    known = engine.info(asked)
    message = RuntimeInfo(name=engine.runtime_name, annotations=known.annotations)
    message.version.version = known.version
    message.version.revision = known.revision
    if asked is not None:
        message.options.CopyFrom(options)
    if known.features is not None:
        message.features.type_url = known.features.type_url
        message.features.value = known.features.value
    return message.SerializeToString()
