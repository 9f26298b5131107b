"""The binary `containerd-shim-runoci-v1`: the shim's life with the OCI engine.

The engine is named, not imported: `start` never needs it.
"""

from podshim.shim.main import main as _main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the shim with the process's arguments, and exit with its status."""
    _main("podshim.engines.oci:OciEngine")


if __name__ == "__main__":
    main()
