"""Images for the tests, built here: no registry is asked.

One layer with Debian's static busybox and a link for each of its commands; two images of it, as
an OCI layout in a tar file that `ctr image import` takes.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

BUSYBOX = "docker.io/library/busybox:latest"
PAUSE = "docker.io/podshim/pause:1"
_OCI = "application/vnd.oci.image"


def write_images(path: Path) -> None:
    """Write a tar file with both images."""
    layer = _layer()
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, media_type: str) -> dict[str, Any]:  # Any: JSON
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def image(name: str, command: list[str]) -> dict[str, Any]:  # Any: JSON
        config = {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": blob(json.dumps(config).encode(), f"{_OCI}.config.v1+json"),
            "layers": [blob(layer, f"{_OCI}.layer.v1.tar")],
        }
        entry = blob(json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json")
        return {**entry, "annotations": {"io.containerd.image.name": name}}

    index = {
        "schemaVersion": 2,
        "manifests": [image(BUSYBOX, ["sh"]), image(PAUSE, ["sleep", "2147483647"])],
    }
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for digest, content in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", content)


def _layer() -> bytes:
    busybox = _busybox()
    commands = subprocess.run(
        [busybox, "--list"], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for command in sorted({*commands} - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{command}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nuser:x:1000:\n")
    return buffer.getvalue()


def _busybox() -> Path:
    for folder in os.environ["PATH"].split(":"):
        if (path := Path(folder, "busybox")).exists():
            return path
    message = "no busybox"
    raise FileNotFoundError(message)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
