"""A server process on Windows, from its creation until it serves.

Theory of operation. `start` executes its own program once more with the command `serve`, detached,
in the bundle. The server's standard input is ours, from which it reads the runtime options; its
standard error is the bundle's `panic.log`; its standard output is a pipe. What it writes there
before it serves is why it can't; that it closes it means that it serves, or that it has ended.
These two are told apart by asking it.

The interpreter is executed itself, not the launcher that installers put before it: a launcher
stays, as a process with another id, and holds the pipe open. The command line begins with the
shim's name all the same, so that lists of processes show it. In a virtual environment the
interpreter that its `python.exe` leads to is executed, told in its own way where it belongs.

`start` runs this module.
"""

import os
import sys
from _thread import allocate_lock, start_new_thread

from podshim.bundle import PANIC_LOG, tail
from podshim.shim.program import own_program
from podshim.shim.runhcs import joining
from podshim.shim.runhcs.command import NAME, SERVE
from podshim.win32 import detached
from podshim.win32.handles import handle_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podshim.bundle import Bundle
    from podshim.shim.runhcs.command import Command
    from podshim.win32.handles import Handle

#: How long a server that says that it serves may take to answer, in s.
ANSWER_TIMEOUT = 10.0
#: How long a server that is ending may take until it has ended, in s.
END_TIMEOUT = 10.0
#: The most of a dying server's words that an error repeats.
MAX_WORDS = 32 << 10
#: How a virtual environment's interpreter is told which environment it is in.
_VENV = "__PYVENV_LAUNCHER__"


class SpawnError(Exception):
    """The server could not be started, or ended before it served."""


class Server:
    """A server process that is being started. Call `serving`, then `release` it, or `kill` it.

    Args:
        process: The process; this object owns it.
        output: The descriptor of the read end of its standard output; this object owns it.
        bundle: Its `panic.log` is the server's standard error.
    """

    __slots__ = ("_bundle", "_ended", "_output", "_process", "_words", "pid")

    def __init__(self, process: detached.Process, output: int, bundle: "Bundle") -> None:
        self.pid = process.pid
        self._process = process
        self._output = output
        self._bundle = bundle
        self._words = bytearray()
        self._ended = allocate_lock()
        self._ended.acquire()
        start_new_thread(self._read, ())

    def serving(self, address: str, shim_id: str, seconds: float) -> None:
        """Wait until the server serves.

        Args:
            address: Where.
            shim_id: The id that it serves.
            seconds: How long it may take.

        Raises:
            SpawnError: It has ended (the text is its last words), another server is there in its
                place, or the time is over. Call `kill` then.
        """
        if not self._ended.acquire(timeout=seconds):
            raise SpawnError(f"the server, process {self.pid}, did not serve in time")
        if self._words:
            self._process.wait(END_TIMEOUT)
            raise SpawnError(self._words.decode(errors="replace").strip())
        try:
            pid = joining.shim_pid(address, shim_id, ANSWER_TIMEOUT)
        except joining.JoinError as error:
            raise SpawnError(self._last_words(str(error))) from error
        if pid != self.pid:
            raise SpawnError(
                self._last_words(f"open {address}: process {pid} serves there already")
            )

    def kill(self) -> None:
        """End the server and wait for its end."""
        self._process.kill(END_TIMEOUT)
        self.release()

    def release(self) -> None:
        """Give back what this process held of the server; the server goes on."""
        self._process.close()

    def _read(self) -> None:
        """Take what the server says until it closes its end; runs in a thread of its own."""
        try:
            while part := os.read(self._output, 4096):
                self._words += part[: max(MAX_WORDS - len(self._words), 0)]
        except OSError:  # as good as its end
            pass
        finally:
            os.close(self._output)
            self._ended.release()

    def _last_words(self, otherwise: str) -> str:
        """Why a server that is silent does not serve."""
        code = self._process.wait(END_TIMEOUT)
        if code is None:
            return otherwise
        words = tail(self._bundle.file(PANIC_LOG), 0, MAX_WORDS).strip()
        return words or f"the server, process {self.pid}, died without a word, exit code {code}"


def spawn(command: "Command", address: str, bundle: "Bundle", *, is_sandbox: bool) -> Server:
    """Start a server.

    Args:
        command: What we were asked for; the server gets the same.
        address: Where it shall serve.
        bundle: Its current folder.
        is_sandbox: Whether it serves a pod.

    Raises:
        OSError: It can't be started; nothing is left behind but an empty `panic.log`.
    """
    read, write = os.pipe()
    try:
        try:
            output = detached.inheritable(handle_of(write), "pipe")
        finally:
            os.close(write)
        with (
            output,
            detached.new_file(bundle.file(PANIC_LOG)) as panic,
            detached.standard_input() as stdin,
        ):
            words = _arguments(command, address, is_sandbox=is_sandbox)
            process = _create(words, bundle.path, (stdin, output, panic))
    except BaseException:
        os.close(read)
        raise
    return Server(process, read, bundle)


def _arguments(command: "Command", address: str, *, is_sandbox: bool) -> "list[str]":
    words = ["--namespace", command.namespace, "--address", command.address]
    words += ["--publish-binary", command.publish_binary, "--id", command.id]
    words += [SERVE, "--socket", address]
    return [*words, "--is-sandbox"] if is_sandbox else words


def _create(
    arguments: "Sequence[str]",
    folder: str,
    streams: "tuple[Handle, Handle, Handle]",
) -> detached.Process:
    """Execute our own program with other arguments."""
    program, *words = own_program(sys.orig_argv, len(sys.argv) - 1)
    base = getattr(sys, "_base_executable", None) or program
    in_venv = os.path.normcase(base) != os.path.normcase(program)
    if in_venv:
        os.environ[_VENV] = program  # the interpreter takes it out again
    try:
        # No folder in the name: the interpreter would look for its library there.
        return detached.create(base, [f"{NAME}.exe", *words, *arguments], folder, streams)
    finally:
        if in_venv:
            del os.environ[_VENV]
