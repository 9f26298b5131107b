"""The binary `containerd-shim-runhcs-v1`: the shim's life with the engine of Windows.

The engine is named, not imported: `start` never needs it.
"""

from podshim.shim.runhcs.main import main as _main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the shim with the process's arguments, and exit with its status."""
    _main("podshim.engines.hcs.engine:HcsEngine")


if __name__ == "__main__":
    main()
