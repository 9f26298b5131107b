"""Make cri_pb2.py and cri_pb2.pyi from cri.proto: python tests/support/cri/generate.py [FOLDER]."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def generate(target: Path = HERE) -> None:
    """Write the modules into `target`.

    Raises:
        subprocess.CalledProcessError: protoc refused; it has said why on stderr.
    """
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={HERE}"]
    outputs = [f"--python_out={target}", f"--pyi_out={target}"]
    subprocess.run([*protoc, *outputs, "cri.proto"], check=True, timeout=120)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
