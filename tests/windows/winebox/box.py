"""The face of a box to tests: run Windows programs, translate paths, end what was left running.

``open_box`` prepares on first use and holds the box (shared) until the process ends. Every program
is started with pipes as standard streams, because a Windows program under Wine can use nothing
else, and is marked by an environment variable that all its descendants inherit. Ending a program
ends them by that mark: Wine's processes do not form a tree that Linux could see.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from windows.winebox import additions, recipe, server, setup, worlds
from windows.winebox.recipe import Places, windows_path
from windows.winebox.streams import Pump

MARK = "PODSHIM_WINE_MARK"
DEFAULT_LIMIT = 300.0  # seconds that one command may take

_TOLD = 4000  # bytes of the output of a program that took too long

#: What went wrong in Wine and right the second time: told at the end of a test run.
incidents: list[str] = []
_LAST_WORDS = 30.0  # seconds to read what an ended program left in its pipes


@dataclass(frozen=True, slots=True)
class Box:
    """A prepared Wine prefix with a Windows Python. Any number of threads and processes may use it.

    Attributes:
        at: the box's places.
        mark: given to every program started through this object, and to its descendants.
    """

    at: Places
    mark: str

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment a program of this box gets: the caller's, made fit, and ``extra``."""
        return {**server.environment(self.at), MARK: self.mark, **(extra or {})}

    def command(self, argv: Sequence[str]) -> list[str]:
        """The Linux command line that runs a Windows one; sees to the wineserver."""
        server.ensure(self.at)
        return [server.LOADER, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = DEFAULT_LIMIT,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a Windows program to its end, with its output captured.

        Args:
            argv: the program, found on Windows' PATH, and its arguments.
            stdin: all of its input.
            env: variables to add to the caller's.
            cwd: its working directory, as Linux names it.
            timeout: seconds, after which it and all its descendants are ended.

        Returns:
            Output, and the exit status as Linux has it: the lowest 8 bits of Windows' exit code.

        Raises:
            subprocess.TimeoutExpired: it took too long.
        """
        mine = Box(self.at, f"{self.mark}.{secrets.token_hex(4)}")
        deadline = time.monotonic() + timeout
        out, err = bytearray(), bytearray()
        with mine.start(argv, env=env, cwd=cwd) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            output = Pump(process.stdout.fileno(), out.extend)
            errors = Pump(process.stderr.fileno(), err.extend)
            feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
            feeder.start()
            complete = False
            try:
                process.wait(timeout)
                complete = output.join(deadline - time.monotonic())
            except subprocess.TimeoutExpired:
                pass
            finally:  # a test's own time limit may come here too, and nothing may wait for ever
                if not complete:
                    mine.end_all()
            output.finish(_LAST_WORDS)
            errors.finish(_LAST_WORDS)
            feeder.join(_LAST_WORDS)
        if not complete:
            raise subprocess.TimeoutExpired(list(argv), timeout, bytes(out), bytes(err))
        return subprocess.CompletedProcess(list(argv), process.returncode, bytes(out), bytes(err))

    def run_through(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """`run`; but what takes too long is run once more, and that is told as an incident.

        For long programs that start many others, of which Wine may have lost one. Its server hung
        once when many had worked in one world: one that does not answer is started anew.

        Raises:
            subprocess.TimeoutExpired: it took too long twice.
        """
        try:
            return self.run(argv, env=env, cwd=cwd, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            words = b"\n".join(filter(None, ((late.stdout or b"")[-_TOLD:], late.stderr)))
            told = f"run again: {late}\n{words[: 3 * _TOLD].decode(errors='replace')}"
            if not server.answers(self.at):
                server.stop(self.at)
                told = f"Wine's server hung and was started anew; {told}"
            incidents.append(told)
            return self.run(argv, env=env, cwd=cwd, timeout=timeout)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a Windows program with three pipes; the caller closes them and awaits its end.

        The error stream ends only when all descendants are gone, even those that do not use it.
        """
        return subprocess.Popen(
            self.command(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(env),
            cwd=cwd,
            start_new_session=True,
        )

    @contextlib.contextmanager
    def session(self) -> Iterator["Box"]:
        """A box whose programs, detached ones too, are ended when the session ends."""
        mine = Box(self.at, f"{self.mark}.{secrets.token_hex(4)}")
        try:
            yield mine
        finally:
            mine.end_all()

    def processes(self) -> list[int]:
        """The Linux process ids of all living programs that were started through this object."""
        return [pid for pid in _all_processes() if _marked(pid, self.mark)]

    def end_all(self) -> None:
        """End them all, and wait until they are gone."""
        deadline = time.monotonic() + 30
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes do not end: {pids}")
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)  # they are not our children: their end can only be looked for

    def remove(self) -> None:
        """End the wineserver with all its programs, and remove this world."""
        server.stop(self.at)
        shutil.rmtree(self.at.home)

    def windows_path(self, path: Path) -> str:
        """A Linux path as Windows programs name it: on ``C:`` inside the prefix, else on ``Z:``."""
        return windows_path(self.at, path if path.is_absolute() else Path.cwd() / path)

    def linux_path(self, path: str) -> Path:
        """A Windows path on ``C:`` or ``Z:`` as Linux names it."""
        drive, _, rest = path.partition(":")
        parts = rest.replace("\\", "/").lstrip("/")
        match drive.upper():
            case "C":
                return self.at.drive_c / parts
            case "Z":
                return Path("/") / parts
            case _:
                raise ValueError(f"no such drive in the box: {path}")


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:  # a program need not read its input
        pipe.write(data)


def open_box(world: str | None = None) -> Box:
    """Have a box that is complete and up to date with the checkout; makes it if need be.

    The first call of a machine takes a minute, later ones milliseconds. Safe to call concurrently.

    Args:
        world: the name of the world to use; by default the one that the environment names,
            else one that the processes of this pid namespace share.

    Raises:
        UnavailableError: no box can be had here.
    """
    template = recipe.places()
    _hold(template)
    at = worlds.enter(template, world)
    additions.bring_up_to_date(at)
    return Box(at, os.environ.get(MARK) or secrets.token_hex(8))


def _hold(at: Places) -> None:
    """Take the box's lock shared, for as long as this process lives, and have the box complete."""
    at.cache.mkdir(parents=True, exist_ok=True)
    lock = os.open(at.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if at.stamp.exists():
        return
    fcntl.flock(lock, fcntl.LOCK_UN)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not at.stamp.exists():
        print("==> Making a Windows environment with Wine: about two minutes", file=sys.stderr)
        setup.make(at)
        _remove_others(at)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _remove_others(at: Places) -> None:
    """Remove boxes that older recipes made for this checkout, unless somebody uses them."""
    for stamp in at.cache.glob("box-*/ready.json"):
        other = Places(at.cache, stamp.parent.name)
        if other.name == at.name or json.loads(stamp.read_text())["checkout"] != str(
            recipe.CHECKOUT
        ):
            continue
        with other.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(other.box)
            other.lock.unlink()


def _all_processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _marked(pid: int, mark: str) -> bool:
    """Whether the process carries the mark, or one derived from it. Ourselves never."""
    if pid == os.getpid():
        return False
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or another user's
    own = f"{MARK}={mark}".encode()
    return any(item == own or item.startswith(own + b".") for item in variables)
