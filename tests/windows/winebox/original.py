"""Microsoft's shim in Go, built from the module that ``original/go.mod`` pins: the judge of ours.

The binary lies in the cache and never in the repository. A build takes minutes once, and needs Go
and the network.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from windows.winebox import recipe, server, setup
from windows.winebox.recipe import Places, UnavailableError

MODULE = recipe.HERE.parent / "original"
NAME = "containerd-shim-runhcs-v1.exe"


def executable(at: Places) -> Path:
    """The built shim; builds it if this version has not been built on this machine.

    Raises:
        UnavailableError: Go or the module can't be had here.
    """
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    folder = at.downloads / f"original-{digest.hexdigest()[:12]}"
    with server.locked(at.cache / "original.lock"):
        if not folder.exists():
            _build(folder)
    return folder / NAME


def _build(folder: Path) -> None:
    if not shutil.which("go"):
        raise UnavailableError("the original shim can't be built: Go is not on this machine")
    print("==> Building Microsoft's shim: a minute or two", file=sys.stderr)
    new = folder.with_suffix(".new")
    settings = {"GOOS": "windows", "GOARCH": "amd64", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    go: list[str | Path] = [
        "go",
        "-C",
        MODULE,
        "build",
        "-p",
        "1",
        "-trimpath",
        "-o",
        f"{new}/",
        "tool",
    ]
    setup.step(go, env={**os.environ, **settings, "GOFLAGS": "-mod=readonly"})
    new.rename(folder)
