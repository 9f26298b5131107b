"""A container image made of busybox alone, as an OCI archive that `ctr image import` takes.

An archive is a tar file of blobs, each named by the hash of its content, that refer to each other:
`index.json` to a manifest, the manifest to a configuration and to the layers.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from pathlib import Path

NAME = "podshim.demo/busybox:latest"
_COMMANDS = ("sh", "sleep", "echo", "ps")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_image(path: Path) -> None:
    """Write the archive.

    Raises:
        FileNotFoundError: busybox is not installed.
    """
    layer = _layer()
    config = {
        "architecture": _MACHINES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    with tarfile.open(path, "w") as archive:
        described = _blob(archive, "vnd.oci.image.layer.v1.tar", layer)
        manifest = {
            "schemaVersion": 2,
            "config": _blob(archive, "vnd.oci.image.config.v1+json", _encode(config)),
            "layers": [described],
        }
        entry = _blob(archive, "vnd.oci.image.manifest.v1+json", _encode(manifest))
        entry["annotations"] = {"io.containerd.image.name": NAME}
        _add(archive, "index.json", _encode({"schemaVersion": 2, "manifests": [entry]}))
        _add(archive, "oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))


def _layer() -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("busybox is not installed")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        _add(layer, "bin/busybox", Path(busybox).read_bytes(), 0o755)
        for name in _COMMANDS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
    return content.getvalue()


def _blob(archive: tarfile.TarFile, kind: str, content: bytes) -> dict[str, object]:
    """Add a blob; what others call it by."""
    digest = _digest(content)
    _add(archive, f"blobs/{digest.replace(':', '/')}", content)
    return {"mediaType": f"application/{kind}", "digest": digest, "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()
