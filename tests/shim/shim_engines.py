"""Engines for tests of the binary's life: none of them runs anything."""

# ruff: noqa: ASYNC251 - a server that hangs is what is wanted

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from podshim.engine import Container, CreateRequest, Engine, EngineInfo, Exit, TypedValue
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.bundle import Bundle


class Good(Engine):
    """Serves, knows itself, and notes what it has cleaned up."""

    runtime_name = "io.containerd.good.v1"

    async def create(self, request: CreateRequest) -> Container:
        raise ShimError("this engine runs nothing")

    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:
        features = TypedValue("features", b"{}")
        return EngineInfo("1.2", "abc", features, {"options": options.type_name if options else ""})

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        with open(os.environ["CLEANED"], "a") as file:
            file.write(f"{namespace} {container_id} {bundle.path}\n")
        return None


class KnowsTheEnd(Good):
    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        return Exit(42, 7_000_000_000)


class CantClean(Good):
    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        raise ShimError("runc delete: device busy")


class CleansForEver(Good):
    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        while True:
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001 - what a careless engine does
                continue


class CleansWhenTold(Good):
    """Says that it has begun, waits for a file, then cleans."""

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        bundle.write("begun", b"")
        while not os.path.exists(os.environ["OPEN"]):
            time.sleep(0.005)
        return super().cleanup(namespace, container_id, bundle)


class Prints(Good):
    """Writes on standard output, by itself and through a program."""

    @classmethod
    def cleanup(cls, namespace: str, container_id: str, bundle: Bundle) -> Exit | None:
        cls._print()
        return None

    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:
        cls._print()
        return EngineInfo("1.2")

    @staticmethod
    def _print() -> None:
        print("from Python")
        subprocess.run(["/bin/echo", "from a program"], check=True)


class NoRuntime(Good):
    @classmethod
    def info(cls, options: TypedValue | None) -> EngineInfo:
        raise ShimError('exec: "runc": executable file not found in $PATH')


class FailsToOpen(Good):
    async def open(self) -> None:
        raise ShimError("no cgroups here")


class DiesTalking(Good):
    async def open(self) -> None:
        sys.stderr.write("first words\nlast words\n")
        sys.stderr.flush()
        os._exit(3)


class DiesSilently(Good):
    async def open(self) -> None:
        os._exit(3)


class NeverOpens(Good):
    async def open(self) -> None:
        time.sleep(3600)


class LeavesThreads(Good):
    """Fills the loop's executor with calls that don't return."""

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            loop.run_in_executor(None, time.sleep, 3600)


class OpensWhenTold(Good):
    """Waits for a file: a server that takes its time."""

    async def open(self) -> None:
        while not os.path.exists(os.environ["OPEN"]):
            time.sleep(0.005)
        if os.environ.get("THEN") == "die":
            os._exit(4)
