"""What the engine's runtime can do, for `-info`."""

from __future__ import annotations

import json
import subprocess
from typing import Final

from podshim.engine import EngineInfo, TypedValue
from podshim.engines.oci.commandline import find_binary, runtime_environment
from podshim.engines.oci.options import decode
from podshim.version import VERSION

FEATURES_TYPE: Final = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
_LIMIT: Final = 5.0


def describe(options: TypedValue | None) -> EngineInfo:
    """Ask the runtime for its features; one that can't tell them has none to show.

    Raises:
        InvalidArgumentError: The options are not understood.
        ShimError: The runtime does not exist.
    """
    binary = find_binary(decode(options).binary)
    return EngineInfo(version=VERSION, features=_features(binary))


def _features(binary: str) -> TypedValue | None:
    try:
        answer = subprocess.run(
            [binary, "features"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_LIMIT,
            env=runtime_environment(),
        ).stdout
        if not isinstance(json.loads(answer), dict):
            return None
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError):
        return None
    return TypedValue(FEATURES_TYPE, answer)
