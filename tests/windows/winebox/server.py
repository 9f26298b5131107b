"""A world's wineserver: started once, kept between commands, gone by itself when nobody comes.

A Wine program without a running server pays seconds to boot the prefix. A server started by such
a program inherits its standard streams, and whoever reads these never sees their end. So the
server and the services of the prefix are started here, first, on /dev/null.

``server.json`` names the server by process id and start time; the start time makes sure that
a reused id is not mistaken for it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from windows.winebox.recipe import Places, UnavailableError

LOADER = "/usr/lib/wine/wine64"
SERVER = "/usr/lib/wine/wineserver64"

IDLE_LIMIT = 1800  # seconds that the server waits for a next command before it ends
BOOT_LIMIT = 120.0  # seconds for the prefix to boot
ANSWER_LIMIT = 60.0  # seconds for what a living server does in a fraction of one

# What would reach Windows programs from a Linux Python's or desktop's environment and mislead them.
_DROPPED = ("DISPLAY", "WAYLAND_DISPLAY", "LD_PRELOAD", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def environment(at: Places) -> dict[str, str]:
    """The environment for Wine programs of this world: the caller's own, made fit."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(("PYTHON", "WINE"))
    }
    env |= {
        "HOME": str(at.home / "home"),  # Wine links the user's folders into the prefix
        "WINEPREFIX": str(at.prefix),
        "WINEARCH": "win64",
        "WINEDEBUG": os.environ.get("WINEDEBUG", "-all"),
        "WINEDLLOVERRIDES": "mscoree=d;mshtml=d",
        "WINEPATH": r"C:\Python;C:\Python\Scripts",
    }
    return env


def ensure(at: Places) -> None:
    """Have a booted server; returns at once if there is one. Safe to call concurrently."""
    if running(at):
        return
    with locked(at.home / "server.lock"):
        if not running(at):
            _start(at)


def stop(at: Places) -> None:
    """End the server and with it every program of the world; does nothing if none runs."""
    pid = running(at)
    if not pid:
        return
    with contextlib.suppress(subprocess.SubprocessError):  # one that hangs is killed below
        run_quietly(at, [SERVER, "-k"], ANSWER_LIMIT)
    deadline = time.monotonic() + ANSWER_LIMIT
    while running(at):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)  # the server is not our child: its end can only be looked for
    (at.home / "server.json").unlink(missing_ok=True)
    # Debian's Wine keeps the name of its server's folder in the prefix, and the folder for ever.
    if (note := at.prefix / "wineserver").exists():
        shutil.rmtree(Path("/tmp") / note.read_text().strip(), ignore_errors=True)
        note.unlink()


def answers(at: Places) -> bool:
    """Whether a Windows program runs to its end, as it does unless the server hangs."""
    try:
        run_quietly(at, [LOADER, "cmd", "/c", "exit"], ANSWER_LIMIT)
    except subprocess.SubprocessError:
        return False
    return True


def run_quietly(at: Places, argv: Sequence[str], limit: float) -> None:
    """Run a program of Wine's that may leave services behind: without pipes, which they would hold.

    Raises subprocess.SubprocessError if it fails or takes longer than ``limit`` seconds.
    """
    subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(at),
        cwd="/",
        timeout=limit,
        check=True,
    )


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold an advisory lock on the file at ``path``, which is made if absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def start_time(pid: int) -> str | None:
    """When the process started, in kernel ticks since boot; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def running(at: Places) -> int:
    """The running server's process id, or 0."""
    try:
        known = json.loads((at.home / "server.json").read_text())
    except FileNotFoundError:
        return 0
    pid = int(known["pid"])
    return pid if start_time(pid) == known["started"] else 0


def _start(at: Places) -> None:
    if not shutil.which(LOADER) or not shutil.which(SERVER):
        raise UnavailableError("Wine is not on this machine")
    held = os.open(at.world_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_SH)
    process = subprocess.Popen(
        [SERVER, "-f", f"-p{IDLE_LIMIT}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(at),
        cwd="/",
        start_new_session=True,
        pass_fds=[held],  # a world is in use as long as its server lives
    )
    os.close(held)
    started = start_time(process.pid)
    try:
        run_quietly(at, [LOADER, "wineboot"], BOOT_LIMIT)
    except (subprocess.SubprocessError, OSError) as err:
        process.kill()
        process.wait()
        raise UnavailableError(f"Wine does not start here: {err}") from err
    if process.poll() is not None:
        raise UnavailableError(
            "the wineserver ended at once: is another one using the same prefix?"
        )
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    record = at.home / "server.json.new"
    record.write_text(json.dumps({"pid": process.pid, "started": started}) + "\n")
    record.replace(at.home / "server.json")
