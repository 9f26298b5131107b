"""A shim's program for cases on its life, with engines that run nothing.

`ENGINE` in the environment names the one that is wanted; each writes facts about its process into
the file that `STARTED` names.
"""

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from podshim.engine import Container, CreateRequest
from podshim.errors import ShimError
from podshim.task.runhcs.host import ContainerRequest, WindowsContainer, WindowsEngine


class Good(WindowsEngine):
    """Serves, and notes what it has been told to delete."""

    runtime_name = "io.containerd.runhcs.v1"
    build = 20348

    async def open(self) -> None:
        if "STARTED" in os.environ:
            facts = {
                "pid": os.getpid(),
                "words": sys.orig_argv,
                "executable": sys.executable,
                "prefix": sys.prefix,
                "folder": os.getcwd(),
                "variable": os.environ.get("__PYVENV_LAUNCHER__"),
            }
            with open(os.environ["STARTED"], "w") as file:
                json.dump(facts, file)

    async def create(self, request: CreateRequest) -> Container:
        raise ShimError("this engine runs nothing")

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        raise ShimError("this engine runs nothing")

    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        with open(os.environ["DELETED"], "a") as file:
            file.write(f"{container_id}\n")


class CantOpen(Good):
    async def open(self) -> None:
        await super().open()
        raise ShimError("no containers on this machine")


class Dies(Good):
    """Ends without a word, as a crash in a DLL would."""

    async def open(self) -> None:
        os._exit(7)


class Unforeseen(Good):
    async def open(self) -> None:
        raise ZeroDivisionError("nobody foresaw this")


class Hangs(Good):
    async def open(self) -> None:
        await super().open()
        await asyncio.Event().wait()


class NeverCreates(Good):
    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        await asyncio.Event().wait()
        raise AssertionError


class StuckThread(Good):
    """Has a thread of the loop's in a call that never returns, and a task that nothing cancels."""

    async def create_container(self, request: ContainerRequest) -> WindowsContainer:
        stuck = asyncio.ensure_future(asyncio.to_thread(threading.Event().wait))
        while not stuck.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(stuck)
        raise AssertionError


class LosesTasks(Good):
    """Has a task that fails and that nobody waits for."""

    async def open(self) -> None:
        await super().open()
        asyncio.create_task(self._fail())  # noqa: RUF006 - that is what is wanted

    async def _fail(self) -> None:
        raise ZeroDivisionError("in a task")


class Talks(Good):
    """Has always something to log."""

    async def open(self) -> None:
        await super().open()
        asyncio.create_task(self._talk())  # noqa: RUF006 - it lives as long as the process

    async def _talk(self) -> None:
        while True:
            logging.getLogger("engine").debug("something", extra={"key": "a value"})
            await asyncio.sleep(0.02)


class NotInTime(Good):
    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        say(f"failed to wait for '{container_id}' to terminate: a reason")
        raise ShimError(f"timed out waiting for '{container_id}' to terminate")


if __name__ == "__main__":
    from podshim.shim.runhcs.main import main

    if "SERVE_TIMEOUT" in os.environ:
        from podshim.shim.runhcs import start

        start.SERVE_TIMEOUT = float(os.environ["SERVE_TIMEOUT"])
    main(f"windows.cases.process_engines:{os.environ.get('ENGINE', 'Good')}", sys.argv)
