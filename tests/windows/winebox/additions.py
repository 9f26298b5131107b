"""What follows the checkout from call to call: console scripts and the stand-in HCS.

Each addition remembers a hash of what it was made from, so that a call costs a few file reads when
nothing changed. Files are replaced whole, never in place: a program that has one open keeps it.
"""

import hashlib
import io
import os
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from windows.winebox import recipe, server, setup
from windows.winebox.recipe import Places

STANDIN = recipe.CHECKOUT / "hcs-standin"

# What an installer writes into a console script's launcher, to be run by the Python beside it.
_MAIN = """\
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({call}())
"""


def bring_up_to_date(at: Places) -> None:
    """Install what changed in the checkout since the last call. Safe to call concurrently."""
    project = recipe.CHECKOUT / "pyproject.toml"
    _if_changed(at, "scripts", [project], lambda _: _scripts(at, project.read_text()))
    sources = sorted(path for path in STANDIN.rglob("*") if path.suffix in {".c", ".h", ".def"})
    if sources:
        sources.append(STANDIN / "Makefile")
        _if_changed(at, "standin", sources, lambda digest: _standin(at, digest))


def script(at: Places, entry_point: str) -> bytes:
    """Make a console script's .exe as pip does on Windows: launcher, interpreter line, zipped main.

    Args:
        at: the box; the launcher is pip's own, of the box's site-packages.
        entry_point: ``module:function``.
    """
    module, _, call = entry_point.partition(":")
    main = _MAIN.format(module=module, name=call.partition(".")[0], call=call)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), main)
    vendored = at.python / "lib" / "site-packages" / "pip" / "_vendor" / "distlib"
    launcher = (vendored / "t64.exe").read_bytes()
    return launcher + b"#!C:\\Python\\python.exe\r\n" + packed.getvalue()


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` whole, whoever may be using the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_bytes(content)
    new.replace(path)


def _if_changed(at: Places, name: str, files: Iterable[Path], make: Callable[[str], None]) -> None:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    stamp = at.home / f"{name}.sha256"
    if _read(stamp) == digest.hexdigest():
        return
    with server.locked(at.box / f"{name}.lock"):  # builds are shared by worlds
        if _read(stamp) != digest.hexdigest():
            make(digest.hexdigest())
            replace(stamp, digest.hexdigest().encode())


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _scripts(at: Places, project: str) -> None:
    wanted = {
        f"{name}.exe": script(at, entry_point)
        for name, entry_point in tomllib.loads(project)["project"].get("scripts", {}).items()
    }
    folder = at.python / "Scripts"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if old.name not in wanted:
            old.unlink()
    for name, content in wanted.items():
        replace(folder / name, content)


def _standin(at: Places, digest: str) -> None:
    """Build the stand-in if no world of the box has, and put its DLLs where Windows looks."""
    done = at.box / "standin" / digest
    if not done.exists():
        shutil.rmtree(done.parent, ignore_errors=True)
        build = done.with_suffix(".new")
        setup.step(["make", "-s", "-C", STANDIN, f"BUILD={build}", "dlls"])
        build.rename(done)
    for dll in done.glob("*.dll"):
        replace(at.system32 / dll.name, dll.read_bytes())
