"""What a box is made of: versions, checksums, places, and the hash that names a recipe.

A box's folder is named after the hash of its recipe: what sets it up, the pinned wheels and the
checkout's place. Whoever changes the recipe gets a new box at the next call, and never a
half-changed old one.

A box holds *worlds*: Wine prefixes with a wineserver each, all copies of one template that is never
run. A wineserver can serve only processes of its own pid namespace, and the tests run in one of
their own: so each pid namespace, and each test run, has a world to itself.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent / "requirements.txt"
CHECKOUT = HERE.parents[2]

# A whole Windows CPython, published as a Maven artifact.
PYTHON_ARTIFACT = "org.bytedeco:cpython:3.13.5-1.5.12:jar:windows-x86_64"
PYTHON_FILE = "cpython-3.13.5-1.5.12-windows-x86_64.jar"
PYTHON_SHA256 = "cfe5502ffa7ea369be707b6d88bf68344732a7800450665080fb4267c01bfeae"
PYTHON_FOLDER = "org/bytedeco/cpython/windows-x86_64/"
PYTHON_VERSION = "3.13"
PYTHON_DLL = "python313.dll"

# Debian's names: the commands that prove a package is there, and the package to install.
PACKAGES = {
    "/usr/lib/wine/wine64": "wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64-win32",
    "make": "make",
    "mvn": "maven",
}

# Windows Server 2022, as RtlGetVersion and the registry tell it.
WINDOWS_BUILD = "20348"


class UnavailableError(Exception):
    """No box can be had on this machine; the text, meant for a skipped test, says why."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where one recipe's box lives, and one of its worlds. The template is a world never run."""

    cache: Path
    name: str
    world: str = "template"

    @property
    def box(self) -> Path:
        """The box's own folder; everything in it can be made again."""
        return self.cache / self.name

    @property
    def lock(self) -> Path:
        """Held shared by every user of the box, and alone by whoever makes or removes it."""
        return self.cache / f"{self.name}.lock"

    @property
    def downloads(self) -> Path:
        """Checked downloads, shared by all recipes."""
        return self.cache / "downloads"

    @property
    def stamp(self) -> Path:
        """Written last by the set-up: the box is complete if and only if this file exists."""
        return self.box / "ready.json"

    @property
    def home(self) -> Path:
        """The folder of this world."""
        return self.box / "worlds" / self.world

    @property
    def world_lock(self) -> Path:
        """Held shared by the world's users and its wineserver, alone by whoever removes it."""
        return self.box / "worlds" / f"{self.world}.lock"

    @property
    def prefix(self) -> Path:
        """The Wine prefix."""
        return self.home / "prefix"

    @property
    def drive_c(self) -> Path:
        """The folder that Windows programs see as ``C:``."""
        return self.prefix / "drive_c"

    @property
    def system32(self) -> Path:
        """Where Windows programs look for system DLLs, and only there."""
        return self.drive_c / "windows" / "system32"

    @property
    def python(self) -> Path:
        """The folder of the Windows Python, which is ``Python`` on drive ``C:``."""
        return self.drive_c / "Python"


def places() -> Places:
    """Work out the places for this checkout and recipe; touches nothing but the recipe's files."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Places(Path(base) / "podshim" / "windows", f"box-{recipe_hash()[:12]}")


def recipe_hash() -> str:
    """Hash everything that decides what a box holds."""
    digest = hashlib.sha256(str(CHECKOUT).encode())
    decisive = [HERE / "recipe.py", HERE / "setup.py", HERE / "bcryptprimitives.c", REQUIREMENTS]
    for path in decisive:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def windows_path(at: Places, path: Path) -> str:
    """An absolute Linux path as Windows programs name it: on ``C:`` in the prefix, else ``Z:``."""
    if path.is_relative_to(at.drive_c):
        return "C:\\" + str(path.relative_to(at.drive_c)).replace("/", "\\")
    return "Z:" + str(path).replace("/", "\\")
