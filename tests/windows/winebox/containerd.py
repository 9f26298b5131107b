"""containerd for Windows and its `ctr`, built from the module that ``containerd/go.mod`` pins.

Four places of their source are changed, because Wine is not Windows there:

* The first handle of a pipe that go-winio makes is meant for nobody, but Wine connects the first
  client to it. A visitor that comes and goes takes that place.
* Go removes folders by a call that Wine does not know; bundles are removed file by file, which
  fails as that call does if a process has a file open.
* Wine lacks the library that containerd asks to undo bindings of files: where it is missing, there
  are none.
* containerd makes a symbolic link in each bundle, to a folder that no shim reads. Wine has none.

The binaries lie in the cache and never in the repository. A build takes minutes once, and needs Go
and the network.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from windows.winebox import recipe, server, setup
from windows.winebox.recipe import Places, UnavailableError

MODULE = recipe.HERE.parent / "containerd"

ADDITIONS = MODULE / "wine"
_CONTAINERD = "containerd/containerd/v2/core"

#: By file of the sources: which words are put in the place of which, and the file of our own that
#: explains them, which joins the package.
CHANGES = {
    "Microsoft/go-winio/pipe.go": (
        "winio.go",
        {"go l.listenerRoutine()": "visit(path); go l.listenerRoutine()"},
    ),
    f"{_CONTAINERD}/runtime/v2/bundle.go": (
        "bundle.go",
        {"os.Symlink(": "noLink(", "os.RemoveAll(atomicPath)": "removeEach(atomicPath)"},
    ),
    f"{_CONTAINERD}/mount/mount_windows.go": (
        "mount.go",
        {"(err, windows.ERROR_NOT_FOUND)": "(unbound(err), windows.ERROR_NOT_FOUND)"},
    ),
}


def folder(at: Places) -> Path:
    """Where `containerd.exe` and `ctr.exe` lie; builds them if this machine has not built them.

    Raises:
        UnavailableError: Go or the module can't be had here.
    """
    digest = hashlib.sha256(repr(CHANGES).encode())
    for path in (MODULE / "go.mod", MODULE / "go.sum", *sorted(ADDITIONS.glob("*.go"))):
        digest.update(path.read_bytes())
    target = at.downloads / f"containerd-{digest.hexdigest()[:12]}"
    with server.locked(at.cache / "containerd.lock"):
        if not target.exists():
            _build(target)
    return target


def _build(target: Path) -> None:
    if not shutil.which("go"):
        raise UnavailableError("containerd can't be built: Go is not on this machine")
    print("==> Building containerd for Windows: a minute or two", file=sys.stderr)
    settings = {"GOOS": "windows", "GOARCH": "amd64", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    env = {**os.environ, **settings, "GOFLAGS": "", "GOWORK": "off"}
    with tempfile.TemporaryDirectory(prefix="podshim-containerd-") as name:
        module = Path(name)
        for file in ("go.mod", "go.sum"):
            shutil.copy(MODULE / file, module)
        setup.step(["go", "-C", module, "mod", "vendor"], env=env)
        _change(module / "vendor" / "github.com")
        new = target.with_suffix(".new")
        # Kubernetes' interface is half of the build, and needs more of Windows than Wine has.
        options = ["-mod=vendor", "-tags", "no_cri", "-trimpath", "-ldflags=-s -w"]
        setup.step(["go", "-C", module, "build", *options, "-o", f"{new}/", "tool"], env=env)
    new.rename(target)


def _change(sources: Path) -> None:
    for name, (addition, changes) in CHANGES.items():
        changed = sources / name
        text = changed.read_text()
        for old, new in changes.items():
            if text.count(old) != 1:
                raise UnavailableError(f"{name} is not what the change for Wine was written for")
            text = text.replace(old, new)
        changed.write_text(text)
        shutil.copy(ADDITIONS / addition, changed.with_name(f"podshim_{addition}"))
