"""The manager drives Go's shim of Debian's containerd 1.6, with real containers under runc."""

import os
import signal
from pathlib import Path

import pytest

from podshim.api import (
    cgroups_v1_pb2,
    cgroups_v2_pb2,
    events_pb2,
    runc_options_pb2,
    task_types_pb2,
)
from podshim.engine import Mount
from podshim.errors import Code
from podshim.manager import (
    Manager,
    ShimCommandError,
    container_spec,
    pod_annotations,
    process_spec,
)
from podshim.ttrpc.status import ConnectionLost, StatusError


def bind(rootfs: str) -> list[Mount]:
    return [Mount("bind", rootfs, options=("rbind", "ro"))]


def exists(path: str) -> bool:
    return os.path.lexists(path)


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


async def test_a_task_from_create_to_delete(go: Manager, rootfs: str) -> None:
    args = ["sh", "-c", "echo out; echo err >&2; read line; echo $line; exit 42"]
    async with go.task("life", args, rootfs=bind(rootfs)) as (shim, task):
        assert shim.answer is not None
        assert shim.answer.version == 2
        assert (await task.state()).status == task_types_pb2.CREATED
        assert shim.bundle.rootfs in mounts()
        assert await task.start() == task.pid
        server = await shim.server()
        assert server.task_pid == task.pid
        assert shim.process is not None
        assert server.shim_pid == shim.process.pid
        assert await task.fifos.stdout.read_until(b"\n") == b"out\n"
        assert task.fifos.stdin is not None
        await task.fifos.stdin.write(b"in\n")
        ended = await task.wait()
        assert ended.status == 42
        assert await task.read_all() == (b"in\n", b"err\n")
        deleted = await task.delete()
        assert (deleted.status, deleted.at, deleted.pid) == (42, ended.at, task.pid)
        assert shim.bundle.rootfs not in mounts()
        await go.events.wait("/tasks/delete", "life")
        assert go.events.topics("life") == [
            *("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete")
        ]
        event = (await go.events.wait("/tasks/exit", "life")).message
        assert isinstance(event, events_pb2.TaskExit)
        assert (event.pid, event.exit_status) == (task.pid, 42)
    assert await shim.wait_gone()
    assert not exists(shim.bundle.path)
    assert not exists(shim.bundle.work)


async def test_execs(go: Manager, rootfs: str) -> None:
    async with go.task("execs", ["sleep", "1000"], root=rootfs) as (_, task):
        await task.start()
        output = await task.run("e1", ["sh", "-c", "cat; echo bad >&2; exit 3"], stdin=b"hello")
        assert (output.status, output.stdout, output.stderr) == (3, b"hello", b"bad\n")
        process = await task.exec("e2", ["sleep", "1000"])
        pid = await process.start()
        assert sorted(await task.pids()) == sorted([task.pid, pid])
        await process.kill(signal.SIGKILL)
        assert (await process.wait()).status == 128 + signal.SIGKILL
        await process.delete()
        await go.events.wait("/tasks/exit", "execs", "e2")
        assert go.events.topics("execs") == [
            *("/tasks/create", "/tasks/start"),
            *("/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"),
            *("/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"),
        ]
        with pytest.raises(StatusError) as caught:
            await process.state()
        assert caught.value.code is Code.NOT_FOUND


async def test_a_terminal_pausing_and_statistics(go: Manager, rootfs: str) -> None:
    args = ["sh", "-c", "stty size; read line; stty size; cat"]
    async with go.task("tty", args, root=rootfs, terminal=True) as (_, task):
        await task.start()
        await task.fifos.stdout.read_until(b"\n")
        await task.resize(132, 50)
        assert task.fifos.stdin is not None
        await task.fifos.stdin.write(b"\n")
        await task.fifos.stdout.read_until(b"50 132\r\n")
        await task.pause()
        assert (await task.state()).status == task_types_pb2.PAUSED
        await task.resume()
        assert (await task.state()).status == task_types_pb2.RUNNING
        stats = await task.stats()
        assert isinstance(stats, cgroups_v1_pb2.Metrics | cgroups_v2_pb2.Metrics)
        assert stats.pids.current >= 1


async def test_streams_are_left_and_taken_up_again(go: Manager, rootfs: str) -> None:
    async with go.task("reattach", ["cat"], root=rootfs) as (_, task):
        await task.start()
        stdin, stdout = task.fifos.stdin, task.fifos.stdout
        assert stdin is not None
        await stdin.write(b"one\n")
        await stdout.read_until(b"one\n")
        task.fifos.detach()
        task.fifos.attach()
        await stdin.write(b"two\n")
        assert await stdout.read_until(b"\n") == b"two\n"
        await task.close_stdin()
        assert (await task.wait()).status == 0
        assert await task.read_all() == (b"", b"")


async def test_a_killed_shim_is_cleaned_up_by_delete(go: Manager, rootfs: str) -> None:
    async with go.task("killed", ["sleep", "1000"], rootfs=bind(rootfs)) as (shim, task):
        await task.start()
        client = shim.calls.client
        await shim.kill()
        await client.closed
        with pytest.raises(ConnectionLost):
            await task.state()
        assert shim.bundle.rootfs in mounts()
        ended = await shim.delete()
        assert (ended.status, ended.pid) == (137, task.pid)
        assert shim.bundle.rootfs not in mounts()
        assert not exists(f"/proc/{task.pid}/root/bin")


async def test_a_pod_shares_a_shim(go: Manager, rootfs: str) -> None:
    async with go.task(
        "pod", ["sleep", "1000"], root=rootfs, annotations=pod_annotations("pod", sandbox=True)
    ) as (sandbox, pause):
        await pause.start()
        async with go.task(
            "member", ["echo", "hi"], root=rootfs, annotations=pod_annotations("pod")
        ) as (shim, task):
            assert shim.answer == sandbox.answer
            assert (await shim.server()).shim_pid == (await sandbox.server()).shim_pid
            await task.start()
            assert await task.read_all() == (b"hi\n", b"")
        assert (await pause.state()).status == task_types_pb2.RUNNING
    assert await sandbox.wait_gone()


async def test_events_wait_for_a_daemon_that_is_away(go: Manager, rootfs: str) -> None:
    async with go.task("away", ["true"], root=rootfs) as (_, task):
        async with go.events.away():
            await task.start()
            await task.wait()
        await go.events.wait("/tasks/exit", "away")
        await go.events.wait("/tasks/start", "away")


async def test_a_connection_is_lost_and_made_again(go: Manager, rootfs: str) -> None:
    async with go.task("again", ["sleep", "1000"], root=rootfs) as (shim, task):
        await task.start()
        await shim.disconnect()
        assert shim.bundle.read_start() == shim.answer
        await shim.connect()
        assert (await task.state()).pid == task.pid


async def test_a_start_that_fails_says_why_and_leaves_nothing(go: Manager) -> None:
    shim = go.prepare("nospec", None)
    with pytest.raises(ShimCommandError, match=r"config\.json: no such file.*: exit status 1"):
        await shim.start()
    await shim.close()
    assert not exists(shim.bundle.path)


async def test_a_create_that_fails_says_why_and_leaves_nothing(go: Manager, rootfs: str) -> None:
    options = runc_options_pb2.Options(binary_name="no-such-runtime")
    spec = container_spec(process_spec(["true"]), root=rootfs)
    async with go.shim("nobinary", spec, options=options) as shim:
        with pytest.raises(StatusError, match="no-such-runtime"):
            await shim.create()
        assert shim.task is None
    assert not exists(shim.bundle.path)
    assert await shim.wait_gone()
    assert go.events.topics("nobinary") == []


async def test_a_server_that_stays_is_ended_with_the_manager(rootfs: str, go: Manager) -> None:
    async with Manager(go.binary, namespace="manager-stays", identity=go.identity) as manager:
        spec = container_spec(process_spec(["sleep", "1000"]), root=rootfs)
        shim = manager.prepare("stays", spec)
        await shim.start()
        task = await shim.create()
        await task.start()
        process = shim.process
        assert process is not None
        await shim.disconnect()
    assert not exists(f"/proc/{task.pid}/root/bin")
    assert not exists(manager.folder)
