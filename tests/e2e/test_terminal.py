"""Terminals: a pty for the container, a relay to the client's fifos."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from e2e.e2e_support import RUNNING, House, begin, until
from support import census

if TYPE_CHECKING:
    from podshim.manager import Exec, Task


def terminals(house: House) -> int:
    """How many ends of terminals the server holds."""
    return sum("ptmx" in text for text in census.descriptors(house.server_pid).values())


async def read_rest(process: Task | Exec) -> bytes:
    return (await process.read_all())[0]


async def test_a_terminal(house: House) -> None:
    """Input is echoed, output translated, the size follows ResizePty; then the pty is given back.

    The server holds one ptmx while it runs, none after Delete.
    """
    script = "stty size; tty; read line; stty size; echo got $line; exit 8"
    async with house.shell(script, terminal=True) as task:
        await until(lambda: terminals(house) == 1, "one terminal")
        assert b"/dev/" in await task.stdout.read_until(b"/dev/pts/0\r\n")
        await task.resize(132, 50)
        await task.stdin.write(b"word\n")
        output = await read_rest(task)
        assert output == b"word\r\n50 132\r\ngot word\r\n"
        assert (await task.wait()).status == 8
        assert (await task.state()).terminal
        await task.delete()
        assert terminals(house) == 0


async def test_a_resize_is_signalled(house: House) -> None:
    """ResizePty sends SIGWINCH to what runs in the terminal."""
    script = "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done"
    async with house.shell(script, terminal=True) as task:
        await task.stdout.read_until(b"up\r\n")
        await task.resize(99, 33)
        assert await task.stdout.read_until(b"33 99\r\n") == b"33 99\r\n"
        assert (await task.wait()).status == 0


async def test_a_terminal_of_an_exec(house: House) -> None:
    """An exec may have a terminal, whatever the init has; it can be resized and interrupted."""
    async with house.running() as task:
        process = await begin(task, "e", "stty size; echo up; cat", terminal=True)
        await process.stdout.read_until(b"up\r\n")
        await process.resize(70, 20)
        await process.stdin.write(b"hello\n")
        assert await process.stdout.read_until(b"hello\r\nhello\r\n")
        await process.stdin.write(b"\x03")
        assert (await process.wait()).status == 128 + signal.SIGINT
        await read_rest(process)
        await process.delete()
        assert terminals(house) == 0


async def test_terminals_of_many_execs_at_once(house: House) -> None:
    """Ten terminals at once: none is mistaken for another, all are given back."""

    async def live(number: int) -> None:
        process = await task.exec(
            f"e{number}", ["sh", "-c", f"echo {number}; exit {number}"], terminal=True
        )
        await process.start()
        output = await read_rest(process)
        assert output == f"{number}\r\n".encode()
        assert (await process.wait()).status == number
        await process.delete()

    async with house.running() as task:
        await asyncio.gather(*map(live, range(10)))
    assert terminals(house) == 0


async def test_large_output_of_a_terminal(house: House) -> None:
    """Everything that was printed on a terminal arrives, up to the last line before the exit."""
    async with house.shell("seq 60000", terminal=True) as task:
        output = await read_rest(task)
        assert output.split() == [b"%d" % number for number in range(1, 60_001)]
        assert (await task.wait()).status == 0


async def test_the_last_words_on_a_terminal(house: House) -> None:
    """Short outputs of execs with terminals are never lost, however often it is tried."""
    async with house.running() as task:
        for number in range(12):
            process = await begin(task, f"e{number}", f"echo {number}", terminal=True)
            assert await read_rest(process) == b"%d\r\n" % number
            await process.wait()
            await process.delete()


async def test_a_client_that_goes_and_comes_back(house: House) -> None:
    """A terminal's client may detach and attach again: the container runs on, nothing is lost."""
    async with house.running("cat", terminal=True) as task:
        await task.stdin.write(b"one\n")
        await task.stdout.read_until(b"one\r\none\r\n")
        task.fifos.detach()
        assert (await task.state()).status == RUNNING
        task.fifos.attach()
        await task.stdin.write(b"two\n")
        assert await task.stdout.read_until(b"two\r\ntwo\r\n") == b"two\r\ntwo\r\n"


async def test_closing_the_input_of_a_terminal_hangs_up(house: House) -> None:
    """CloseIO and the client's close are a hang-up for a terminal."""
    async with house.running("cat", terminal=True) as task:
        await task.stdin.write(b"x\n")
        await task.stdout.read_until(b"x\r\nx\r\n")
        await task.close_stdin()
        assert (await task.wait()).status in {0, 1, 128 + signal.SIGHUP}


async def test_a_terminal_that_was_never_started(house: House) -> None:
    """Delete of a created container with a terminal gives the pty back."""
    async with house.task("true", terminal=True) as task:
        await task.delete()
        assert terminals(house) == 0


async def test_resizing_without_a_terminal_is_no_error(house: House) -> None:
    """ResizePty of a process without a terminal does nothing, before, during and after its run."""
    async with house.task("sleep", "1000") as task:
        await task.resize(80, 24)
        await task.start()
        await task.resize(80, 24)
        process = await task.exec("e", ["true"])
        await process.resize(80, 24)
        await task.kill(signal.SIGKILL)
        await task.wait()
        await task.resize(80, 24)
