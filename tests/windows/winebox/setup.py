"""Makes a box's template: Debian packages, a Wine prefix, a Windows Python, wheels, links.

Runs once for a recipe, under an exclusive lock, in well under two minutes. The stamp is written
last; a folder without one is rubbish of an attempt that failed and is removed before the next.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from windows.winebox import recipe, server
from windows.winebox.recipe import Places, UnavailableError

STEP_LIMIT = 600.0  # seconds for one download or installation; a stuck one must not hang a test run


def make(at: Places) -> None:
    """Make the box from nothing. The caller holds its lock alone.

    Raises UnavailableError, with a plain reason, where a package, a download or Wine itself fails.
    """
    shutil.rmtree(at.box, ignore_errors=True)
    at.box.mkdir(parents=True)
    (at.home / "home").mkdir(parents=True)
    _packages()
    try:
        _prefix(at)
        _python(at)
        _forwarder(at)
        _wheels(at)
        _go_random(at)
        _links(at)
    finally:
        server.stop(at)  # the registry is flushed, and nothing survives a failed attempt
    stamp = at.stamp.with_suffix(".new")
    stamp.write_text(json.dumps({"checkout": str(recipe.CHECKOUT), "recipe": at.name}) + "\n")
    stamp.replace(at.stamp)


def step(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> str:
    """Run one step of the set-up; return its output, or raise UnavailableError with its end."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            timeout=STEP_LIMIT,
            check=False,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as err:
        raise UnavailableError(f"{words[0]} is not on this machine") from err
    except subprocess.TimeoutExpired as err:
        raise UnavailableError(f"{' '.join(words[:3])}: not done after {STEP_LIMIT:.0f} s") from err
    if done.returncode != 0:
        tail = " | ".join(done.stdout.strip().splitlines()[-3:])
        raise UnavailableError(f"{' '.join(words[:3])}: exit status {done.returncode}: {tail}")
    return done.stdout


def _packages() -> None:
    missing = [package for command, package in recipe.PACKAGES.items() if not shutil.which(command)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(
            f"missing on this machine: {', '.join(missing)} (install them as root)"
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    try:
        step(install, env=env)
    except UnavailableError:
        step(["apt-get", "update", "-q"], env=env)  # the package lists may be old or absent
        step(install, env=env)


def _prefix(at: Places) -> None:
    at.prefix.mkdir()
    _wine(at, "wineboot", "-i")
    _wine(at, "winecfg", "-v", "win10")
    key = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion"
    for name in ("CurrentBuild", "CurrentBuildNumber"):
        _wine(at, "reg", "add", key, "/v", name, "/d", recipe.WINDOWS_BUILD, "/f")


def _wine(at: Places, *command: str) -> None:
    server.ensure(at)
    try:
        server.run_quietly(at, [server.LOADER, *command], STEP_LIMIT)
    except (subprocess.SubprocessError, OSError) as err:
        raise UnavailableError(f"Wine's {command[0]} failed: {err}") from err


def _python(at: Places) -> None:
    jar = at.downloads / recipe.PYTHON_FILE
    if not jar.exists() or _sha256(jar) != recipe.PYTHON_SHA256:
        at.downloads.mkdir(exist_ok=True)
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
        step(
            [
                "mvn", "-q", "-B", goal, f"-Dartifact={recipe.PYTHON_ARTIFACT}",
                f"-DoutputDirectory={at.downloads}", "-Dmdep.overWriteReleases=true",
            ]
        )  # fmt: skip
        if _sha256(jar) != recipe.PYTHON_SHA256:
            jar.unlink()
            raise UnavailableError(f"{recipe.PYTHON_FILE}: not the file that was expected (sha256)")
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith(recipe.PYTHON_FOLDER) and not name.endswith("/"):
                target = at.python / name.removeprefix(recipe.PYTHON_FOLDER)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    # Wine 8 cannot serve WMI: with this module there, platform.uname() brings Python down.
    (at.python / "lib" / "_wmi.pyd").unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forwarder(at: Places) -> None:
    """Make python3.dll, which the artifact lacks, out of forwards to the versioned DLL.

    Without it abi3 extension modules do not load, and protobuf silently falls back to pure Python.
    """
    table = step(["x86_64-w64-mingw32-objdump", "-p", at.python / recipe.PYTHON_DLL])
    names = re.findall(
        r"^\s*\[\s*\d+\]\s+(?:\+base\[\s*\d+\]\s+\w+\s+)?(_?Py\w+)$", table, re.MULTILINE
    )
    if "PyModule_Create2" not in names:
        raise UnavailableError(f"could not read the exports of {recipe.PYTHON_DLL}")
    module = recipe.PYTHON_DLL.removesuffix(".dll")
    work = at.box / "python3.def"
    exports = "\n".join(f"  {name}={module}.{name}" for name in names)
    work.write_text(f"LIBRARY python3\nEXPORTS\n{exports}\n")
    dll = at.python / "python3.dll"
    step(["x86_64-w64-mingw32-gcc", "-shared", "-nostdlib", "-Wl,--entry=0", "-o", dll, work])
    work.unlink()


def _wheels(at: Places) -> None:
    wanted = hashlib.sha256(recipe.REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = at.downloads / f"wheels-{wanted}"
    if not folder.exists():
        _download(folder)
    for wheel in folder.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(at.python / "lib" / "site-packages")


def _download(folder: Path) -> None:
    pip = _pip()
    new = folder.with_suffix(f".{os.getpid()}.new")
    step(
        [
            *pip, "download", "-q", "--require-hashes", "--no-deps", "--only-binary=:all:",
            "--platform", "win_amd64", "--implementation", "cp",
            "--python-version", recipe.PYTHON_VERSION, "-d", new, "-r", recipe.REQUIREMENTS,
        ]
    )  # fmt: skip
    new.rename(folder)


def _pip() -> list[str]:
    for python in (str(recipe.CHECKOUT / ".venv" / "bin" / "python"), sys.executable, "python3"):
        found = shutil.which(python)
        if (
            found
            and not subprocess.run(
                [found, "-m", "pip", "--version"], capture_output=True, check=False
            ).returncode
        ):
            return [found, "-m", "pip"]
    raise UnavailableError("no Python with pip on this machine, to fetch Windows wheels with")


def _go_random(at: Places) -> None:
    source = recipe.HERE / "bcryptprimitives.c"
    dll = at.system32 / "bcryptprimitives.dll"
    step(["x86_64-w64-mingw32-gcc", "-O2", "-shared", "-o", dll, source, "-ladvapi32"])


def _links(at: Places) -> None:
    """Make podshim importable from the checkout, with compiled files kept out of it."""
    source = recipe.windows_path(at, recipe.CHECKOUT / "src")
    link = at.python / "lib" / "site-packages" / "podshim-checkout.pth"
    cache = recipe.windows_path(at, at.box / "pycache")  # one for all worlds
    link.write_text(f"import sys; sys.pycache_prefix = {cache!r}\n{source}\n")
