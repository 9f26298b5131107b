"""Engines for cases on the binary's life: none of them runs anything."""

import os
import sys
from collections.abc import Callable

from podshim.errors import ShimError
from podshim.task.runhcs.host import ContainerRequest, WindowsContainer, WindowsEngine
from podshim.engine import Container, CreateRequest


class Good(WindowsEngine):
    """Serves, and notes what it has been told to delete."""

    runtime_name = "io.containerd.runhcs.v1"
    build = 20348

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
        raise ShimError("no containers on this machine")


class Dies(Good):
    """Ends without a word, as a crash in a DLL would."""

    async def open(self) -> None:
        os._exit(7)


class Unforeseen(Good):
    async def open(self) -> None:
        raise ZeroDivisionError("nobody foresaw this")


class HangsForEver(Good):
    async def open(self) -> None:
        import asyncio

        await asyncio.Event().wait()


class NotInTime(Good):
    @classmethod
    def force_delete(cls, container_id: str, say: Callable[[str], None]) -> None:
        say(f"failed to wait for '{container_id}' to terminate: a reason")
        raise ShimError(f"timed out waiting for '{container_id}' to terminate")


if __name__ == "__main__":
    from podshim.shim.runhcs.main import main

    main(f"windows.cases.process_engines:{os.environ.get('ENGINE', 'Good')}", sys.argv)
