"""Make the Python modules of `podshim.api` from its .proto files.

    python tools/generate_api.py [FOLDER]

Without a folder the modules in `src/podshim/api` are replaced; with one, they are written below it
(`FOLDER/podshim/api/...`) and the repository stays as it is. What exists and no longer comes from
a .proto file is removed. protoc is the one inside `grpcio-tools`, at the version that
`pyproject.toml` pins: its output works with the oldest protobuf that the project allows.
"""

import shlex
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
API = Path("podshim/api")
PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_ttrpc.py")
#: protoc needs well under a second for all files.
DEADLINE = 120


def generate(target: Path) -> None:
    """Run protoc over all .proto files.

    Args:
        target: The folder below which `podshim/api/...` is written.

    Raises:
        subprocess.CalledProcessError: protoc refused; it has said why on stderr.
        subprocess.TimeoutExpired: It did not end in its time.
    """
    protos = sorted(str(path.relative_to(SOURCE)) for path in (SOURCE / API).glob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        plugin = Path(temporary) / "protoc-gen-ttrpc"
        script = Path(__file__).with_name("protoc_gen_ttrpc.py")
        plugin.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, str(script)])}\n")
        plugin.chmod(0o700)
        command = [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            f"--proto_path={SOURCE}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-ttrpc={plugin}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--ttrpc_out={target}",
            *protos,
        ]
        subprocess.run(command, check=True, timeout=DEADLINE)


def main() -> None:
    """Generate into the folder of the command line, or replace the committed modules."""
    if len(sys.argv) > 1:
        generate(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        made = {path.name: path for path in (Path(temporary) / API).iterdir()}
        for pattern in PATTERNS:
            for old in (SOURCE / API).glob(pattern):
                if old.name not in made:
                    old.unlink()
        for name, path in made.items():
            (SOURCE / API / name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
