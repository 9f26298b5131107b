"""Our shim and Microsoft's in one pod: the `start` of either joins the server of the other.

The `start` of a container in a pod is a client of the pod's server: it asks for its process id.
Microsoft's is a client that nobody here has written, and its server one as well.
"""

import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podshim.manager import Manager, Shim, ShimCommandError, pod_annotations
from podshim.manager.naming import find_shim

assert sys.platform == "win32"

OURS = find_shim("io.containerd.runhcs.v1")
THEIRS = os.environ["PODSHIM_ORIGINAL_SHIM"]
WAITING = ("ping", "-n", "600", "127.0.0.1")


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    namespace = f"n{uuid.uuid4().hex[:12]}"
    # The visitor that comes before the client does our server no harm.
    async with Manager(OURS, namespace=namespace, loses_first=True) as manager:
        yield manager


def spec(manager: Manager, name: str, *args: str, **annotations: str) -> dict[str, Any]:
    layers = [Path(manager.folder) / f"{name}-{layer}" for layer in ("base", "scratch")]
    for layer in layers:
        layer.mkdir()
    (layers[1] / "sandbox.vhdx").touch()
    return {
        "ociVersion": "1.0.2",
        "process": {"args": list(args), "cwd": "C:\\", "user": {}},
        "root": {"path": ""},
        "hostname": "podshim",
        "annotations": annotations,
        "windows": {"layerFolders": [str(layer) for layer in layers]},
    }


def files(shim: Shim) -> tuple[str, str]:
    """What `start` wrote into the bundle."""
    bundle = Path(shim.bundle.path)
    return (bundle / "address").read_text(), (bundle / "shim.pid").read_text()


async def join(manager: Manager, host: str, guest: str) -> None:
    """Have a pod whose server is of one binary, and a container in it that the other starts."""
    pod, name = f"p-{uuid.uuid4()}", f"c-{uuid.uuid4()}"
    sandbox = spec(manager, pod, *WAITING, **pod_annotations(pod, sandbox=True))
    words = ("cmd", "/c", "set /p X= & echo member& exit 6")
    member = spec(manager, name, *words, **pod_annotations(pod))
    manager.binary = host
    async with manager.task(pod, spec=sandbox) as (first, pause):
        assert await pause.start() > 0
        manager.binary = guest
        async with manager.task(name, spec=member) as (second, task):
            assert first.process is not None
            assert second.process is not None
            assert first.answer == second.answer
            assert first.process.pid == second.process.pid
            assert first.answer is not None
            expected = (first.answer.address, str(first.process.pid))
            assert files(first) == files(second) == expected
            await task.start()
            exec_ = await task.exec(
                f"e-{uuid.uuid4()}",
                spec={"args": ["cmd", "/c", "echo exec& exit 7"], "cwd": "C:\\", "user": {}},
            )
            await exec_.start()
            assert (await exec_.read_all())[0].strip() == b"exec"
            assert (await exec_.wait()).status == 7
            assert (await exec_.delete()).status == 7
            await task.stdin.write(b"line\r\n")
            assert (await task.read_all())[0].strip() == b"member"
            assert (await task.wait()).status == 6
            assert (await task.delete()).status == 6
            await manager.events.wait("/tasks/delete", name)
        await pause.kill(9)
        await pause.wait()


async def test_theirs_joins_ours(manager: Manager) -> None:
    await join(manager, OURS, THEIRS)


async def test_ours_joins_theirs(manager: Manager) -> None:
    await join(manager, THEIRS, OURS)


async def delete_of_the_other(manager: Manager, host: str, other: str) -> None:
    """Kill a server of one binary, and have the `delete` of the other clean up after it."""
    name = f"c-{uuid.uuid4()}"
    manager.binary = host
    async with manager.task(name, spec=spec(manager, name, *WAITING)) as (shim, task):
        await task.start()
        await shim.kill()
        shim.binary = other
        assert (await shim.delete()).status == 255


async def test_theirs_cleans_up_after_ours(manager: Manager) -> None:
    await delete_of_the_other(manager, OURS, THEIRS)


async def test_ours_cleans_up_after_theirs(manager: Manager) -> None:
    await delete_of_the_other(manager, THEIRS, OURS)


@pytest.mark.parametrize("binary", [OURS, THEIRS], ids=["ours", "theirs"])
async def test_a_pod_that_is_not_there_is_not_joined(manager: Manager, binary: str) -> None:
    name = f"c-{uuid.uuid4()}"
    manager.binary = binary
    shim = manager.prepare(name, spec(manager, name, *WAITING, **pod_annotations("nobody")))
    with pytest.raises(ShimCommandError, match="exit status 1"):
        await shim.start()
    assert not (Path(shim.bundle.path) / "address").exists()
    assert not (Path(shim.bundle.path) / "shim.pid").exists()
    await shim.close()
