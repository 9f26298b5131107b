"""`shimdiag` looks into a shim that has a task, with real pipes and processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podshim.manager import Manager, Shim

assert sys.platform == "win32"

from windows.cases.pods import bundle, container_spec  # noqa: E402 - after the line above

PAUSE = ("ping", "-n", "600", "127.0.0.1")


@pytest.fixture
async def shim(tmp_path: Path) -> AsyncIterator[Shim]:
    bundle(tmp_path / "layers", {})
    layers = [str(tmp_path / "layers" / name) for name in ("base", "scratch")]
    spec = {
        **container_spec("pod", "sandbox", *PAUSE),
        "ociVersion": "1.0.2",
        "windows": {"layerFolders": layers},
    }
    async with (
        Manager("io.containerd.runhcs.v1", namespace=f"diag-{tmp_path.name}") as manager,
        manager.task("pod", spec=spec, stdin=False) as (shim, task),
    ):
        await task.start()
        process = await task.exec("looker", [*PAUSE], stdin=False)
        await process.start()
        yield shim
        await process.kill(9)
        await process.wait()


async def shimdiag(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the tool to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        ["shimdiag", *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def name(shim: Shim) -> str:
    return f"{shim.question.namespace}-pod"


async def test_tasks_are_listed(shim: Shim) -> None:
    done = await shimdiag("tasks", name(shim))
    assert (done.returncode, done.stdout.split()) == (0, [b"pod"]), done


async def test_tasks_are_listed_with_their_execs(shim: Shim) -> None:
    done = await shimdiag("tasks", "--execs", name(shim))
    assert done.returncode == 0, done
    assert done.stdout.replace(b"\r", b"") == b"pod\n|\n|----> \trunning: looker\n\n"


async def test_stacks_are_those_of_the_shim(shim: Shim) -> None:
    done = await shimdiag("stacks", name(shim))
    assert done.returncode == 0, done
    assert done.stdout.startswith(b"Stacks:")
    assert b"watch of looker in pod" in done.stdout
    assert b"Guest Stacks" not in done.stdout


async def test_a_command_runs_on_the_host(shim: Shim) -> None:
    done = await shimdiag("exec", name(shim), "cmd", "/c", "echo here & echo there>&2 & exit 7")
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (7, b"here", b"there")


async def test_a_command_on_the_host_reads_our_input(shim: Shim) -> None:
    upper = "import sys; print(sys.stdin.read().upper())"
    done = await shimdiag("exec", name(shim), sys.executable, "-c", upper, stdin=b"some words")
    assert (done.returncode, done.stdout.strip()) == (0, b"SOME WORDS"), done


async def test_a_command_that_is_not_there_is_told(shim: Shim) -> None:
    done = await shimdiag("exec", name(shim), "no-such-program")
    assert done.returncode == 1
    assert done.stderr.startswith(b"shimdiag: ")


async def test_nothing_is_shared_without_a_vm(shim: Shim) -> None:
    done = await shimdiag("share", "--ro", name(shim), "C:\\a", "C:\\b")
    assert done.returncode == 1
    failed = b"shimdiag: failed to share directory C:\\a into UVM: task is not isolated"
    assert done.stderr.strip() == failed


async def test_a_shim_that_is_not_there_is_told() -> None:
    done = await shimdiag("stacks", "no-such")
    assert done.returncode == 1
    assert b"containerd-shim-no-such-pipe" in done.stderr


async def test_where_pipes_are_not_listed_list_says_so() -> None:
    done = await shimdiag("list")
    assert done.returncode == 1
    assert done.stderr.strip() == b"shimdiag: this system does not list its pipes"
