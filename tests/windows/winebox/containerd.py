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
import tempfile
from pathlib import Path

from windows.winebox import recipe, server, setup
from windows.winebox.recipe import Places, UnavailableError

MODULE = recipe.HERE.parent / "containerd"

_LISTENS = "\tgo l.listenerRoutine()\n\treturn l, nil\n"
_VISIT = """\
	if name, err := windows.UTF16PtrFromString(path); err == nil {
		visitor, err := windows.CreateFile(
			name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
		if err == nil {
			_ = windows.CloseHandle(visitor)
		}
	}
"""
_LINKS = """\
	if err := os.Symlink(work, filepath.Join(b.Path, "work")); err != nil {
		return nil, err
	}
"""
_NO_BINDING = "errors.Is(err, windows.ERROR_NOT_FOUND) {"
_NO_LIBRARY = (
    "errors.Is(err, windows.ERROR_NOT_FOUND) || errors.Is(err, windows.ERROR_MOD_NOT_FOUND) {"
)
_REMOVES = "\treturn os.RemoveAll(atomicPath)\n"
_REMOVES_EACH = """\
	var paths []string
	if err := filepath.Walk(atomicPath, func(path string, _ os.FileInfo, err error) error {
		paths = append(paths, path)
		return err
	}); err != nil {
		return err
	}
	for last := len(paths) - 1; last >= 0; last-- {
		if err := os.Remove(paths[last]); err != nil {
			return err
		}
	}
	return nil
"""

#: By file: what is replaced, by what.
CHANGES = {
    "Microsoft/go-winio/pipe.go": [(_LISTENS, _VISIT + _LISTENS)],
    "containerd/containerd/v2/core/runtime/v2/bundle.go": [
        (_LINKS, ""),
        (_REMOVES, _REMOVES_EACH),
    ],
    "containerd/containerd/v2/core/mount/mount_windows.go": [(_NO_BINDING, _NO_LIBRARY)],
}


def folder(at: Places) -> Path:
    """Where `containerd.exe` and `ctr.exe` lie; builds them if this machine has not built them.

    Raises:
        UnavailableError: Go or the module can't be had here.
    """
    digest = hashlib.sha256(repr(CHANGES).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    target = at.downloads / f"containerd-{digest.hexdigest()[:12]}"
    with server.locked(at.cache / "containerd.lock"):
        if not target.exists():
            _build(target)
    return target


def _build(target: Path) -> None:
    if not shutil.which("go"):
        raise UnavailableError("containerd can't be built: Go is not on this machine")
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
    for name, changes in CHANGES.items():
        text = (sources / name).read_text()
        for old, new in changes:
            if text.count(old) != 1:
                raise UnavailableError(f"{name} is not what the change for Wine was written for")
            text = text.replace(old, new)
        (sources / name).write_text(text)
