"""The manager drives Go's shim of Debian's containerd 1.6 and ours, with real containers."""

import os
import signal
import threading
from pathlib import Path

import pytest

from manager.conftest import OWN_SHIM
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
    Containerd,
    Identity,
    Manager,
    ShimCommandError,
    container_spec,
    pod_annotations,
    process_spec,
    runtime_info,
)
from podshim.ttrpc.status import ConnectionLost, StatusError


def bind(rootfs: str) -> list[Mount]:
    return [Mount("bind", rootfs, options=("rbind", "ro"))]


def exists(path: str) -> bool:
    return os.path.lexists(path)


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


async def test_a_task_from_create_to_delete(manager: Manager, rootfs: str) -> None:
    args = ["sh", "-c", "echo out; echo err >&2; read line; echo $line; exit 42"]
    async with manager.task("life", args, rootfs=bind(rootfs)) as (shim, task):
        assert shim.answer is not None
        assert shim.answer.version == (2 if manager.identity.line is Containerd.V1_6 else 3)
        assert (await task.state()).status == task_types_pb2.CREATED
        assert shim.bundle.rootfs in mounts()
        assert await task.start() == task.pid
        server = await shim.server()
        assert server.task_pid == task.pid
        assert shim.process is not None
        assert server.shim_pid == shim.process.pid
        assert await task.stdout.read_until(b"\n") == b"out\n"
        await task.stdin.write(b"in\n")
        ended = await task.wait()
        assert ended.status == 42
        assert await task.read_all() == (b"in\n", b"err\n")
        deleted = await task.delete()
        assert (deleted.status, deleted.at, deleted.pid) == (42, ended.at, task.pid)
        assert shim.bundle.rootfs not in mounts()
        await manager.events.wait("/tasks/delete", "life")
        assert manager.events.topics("life") == [
            *("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete")
        ]
        event = (await manager.events.wait("/tasks/exit", "life")).message
        assert isinstance(event, events_pb2.TaskExit)
        assert (event.pid, event.exit_status) == (task.pid, 42)
    assert await shim.wait_gone()
    assert not exists(shim.bundle.path)
    assert not exists(shim.bundle.work)


async def test_execs(manager: Manager, rootfs: str) -> None:
    async with manager.task("execs", ["sleep", "1000"], root=rootfs) as (_, task):
        await task.start()
        output = await task.run("e1", ["sh", "-c", "cat; echo bad >&2; exit 3"], stdin=b"hello")
        assert (output.status, output.stdout, output.stderr) == (3, b"hello", b"bad\n")
        process = await task.exec("e2", ["sleep", "1000"])
        pid = await process.start()
        assert sorted(await task.pids()) == sorted([task.pid, pid])
        await process.kill(signal.SIGKILL)
        assert (await process.wait()).status == 128 + signal.SIGKILL
        await process.delete()
        await manager.events.wait("/tasks/exit", "execs", "e2")
        assert manager.events.topics("execs") == [
            *("/tasks/create", "/tasks/start"),
            *("/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"),
            *("/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"),
        ]
        with pytest.raises(StatusError) as caught:
            await process.state()
        assert caught.value.code is Code.NOT_FOUND


async def test_a_command_that_can_not_be_run_leaves_its_id(manager: Manager, rootfs: str) -> None:
    async with manager.task("missing", ["sleep", "1000"], root=rootfs) as (_, task):
        await task.start()
        for _ in range(2):
            with pytest.raises(StatusError, match="OCI runtime exec failed"):
                await task.run("e", ["/no/such/program"])
        assert (await task.run("e", ["true"])).status == 0


async def test_a_terminal_pausing_and_statistics(manager: Manager, rootfs: str) -> None:
    args = ["sh", "-c", "stty size; read line; stty size; cat"]
    async with manager.task("tty", args, root=rootfs, terminal=True) as (_, task):
        await task.start()
        await task.stdout.read_until(b"\n")
        await task.resize(132, 50)
        await task.stdin.write(b"\n")
        await task.stdout.read_until(b"50 132\r\n")
        await task.pause()
        assert (await task.state()).status == task_types_pb2.PAUSED
        await task.resume()
        assert (await task.state()).status == task_types_pb2.RUNNING
        stats = await task.stats()
        assert isinstance(stats, cgroups_v1_pb2.Metrics | cgroups_v2_pb2.Metrics)
        assert stats.pids.current >= 1


async def test_streams_are_left_and_taken_up_again(manager: Manager, rootfs: str) -> None:
    async with manager.task("reattach", ["cat"], root=rootfs) as (_, task):
        await task.start()
        stdin, stdout = task.stdin, task.stdout
        await stdin.write(b"one\n")
        await stdout.read_until(b"one\n")
        task.fifos.detach()
        task.fifos.attach()
        await stdin.write(b"two\n")
        assert await stdout.read_until(b"\n") == b"two\n"
        await task.close_stdin()
        assert (await task.wait()).status == 0
        assert await task.read_all() == (b"", b"")


async def test_a_killed_shim_is_cleaned_up_by_delete(manager: Manager, rootfs: str) -> None:
    async with manager.task("killed", ["sleep", "1000"], rootfs=bind(rootfs)) as (shim, task):
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


async def test_a_pod_shares_a_shim(manager: Manager, rootfs: str) -> None:
    async with manager.task(
        "pod", ["sleep", "1000"], root=rootfs, annotations=pod_annotations("pod", sandbox=True)
    ) as (sandbox, pause):
        await pause.start()
        async with manager.task(
            "member", ["echo", "hi"], root=rootfs, annotations=pod_annotations("pod")
        ) as (shim, task):
            assert shim.answer == sandbox.answer
            assert (await shim.server()).shim_pid == (await sandbox.server()).shim_pid
            await task.start()
            assert await task.read_all() == (b"hi\n", b"")
        assert (await pause.state()).status == task_types_pb2.RUNNING
    assert await sandbox.wait_gone()


async def test_events_wait_for_a_daemon_that_is_away(manager: Manager, rootfs: str) -> None:
    async with manager.task("away", ["true"], root=rootfs) as (_, task):
        async with manager.events.away():
            await task.start()
            await task.wait()
        await manager.events.wait("/tasks/exit", "away")
        await manager.events.wait("/tasks/start", "away")


async def test_a_connection_is_lost_and_made_again(manager: Manager, rootfs: str) -> None:
    async with manager.task("again", ["sleep", "1000"], root=rootfs) as (shim, task):
        await task.start()
        await shim.disconnect()
        assert shim.bundle.read_start() == shim.answer
        await shim.connect()
        assert (await task.state()).pid == task.pid


async def test_a_start_that_fails_says_why(manager: Manager) -> None:
    shim = manager.prepare("nospec", None)
    with pytest.raises(ShimCommandError, match=r"config\.json: [Nn]o such file.*: exit status 1"):
        await shim.start()
    await shim.close()
    assert not exists(shim.bundle.path)


async def test_a_create_that_fails_leaves_nothing(manager: Manager, rootfs: str) -> None:
    options = runc_options_pb2.Options(binary_name="no-such-runtime")
    spec = container_spec(process_spec(["true"]), root=rootfs)
    async with manager.shim("nobinary", spec, options=options) as shim:
        with pytest.raises(StatusError, match="no-such-runtime"):
            await shim.create()
        assert shim.task is None
    assert not exists(shim.bundle.path)
    assert await shim.wait_gone()
    assert manager.events.topics("nobinary") == []


async def test_what_was_not_closed_is_ended_with_the_manager(manager: Manager, rootfs: str) -> None:
    identity = manager.identity
    async with Manager(manager.binary, namespace="manager-stays", identity=identity) as other:
        spec = container_spec(process_spec(["sleep", "1000"]), root=rootfs)
        shim = other.prepare("stays", spec)
        await shim.start()
        task = await shim.create()
        await task.start()
        assert shim.process is not None
        server = shim.process.pid
        await shim.disconnect()
    assert not exists(f"/proc/{task.pid}/root/bin")
    assert not exists(f"/proc/{server}/root/bin")
    assert not exists(other.folder)


@pytest.mark.parametrize("line", list(Containerd))
async def test_our_shim_answers_every_line(
    line: Containerd, private_world: None, rootfs: str
) -> None:
    identity = Identity(line, debug=True, socket_dir="/run/podshim-test")
    options = runc_options_pb2.Options(binary_name="runc")
    async with (
        Manager(OWN_SHIM, namespace="manager-lines", identity=identity, options=options) as manager,
        manager.task("line", ["true"], root=rootfs) as (shim, task),
    ):
        await task.start()
        assert (await task.wait()).status == 0
        assert shim.answer is not None
        assert shim.answer.version == (3 if line is Containerd.V2_3 else 2)
        told = shim.answer.address.startswith("unix:///run/podshim-test/")
        assert told == (line is Containerd.V2_3)


async def test_our_shim_says_what_it_is(private_world: None) -> None:
    options = runc_options_pb2.Options(binary_name="runc")
    info = await runtime_info(OWN_SHIM, options)
    assert info.name == "io.containerd.runoci.v1"
    assert info.options.type_url == "containerd.runc.v1.Options"
    with pytest.raises(ShimCommandError, match="exit status"):
        await runtime_info("/bin/false")
    with pytest.raises(ShimCommandError, match="no RuntimeInfo"):
        await runtime_info("/bin/echo")


async def test_the_manager_itself_leaks_nothing(manager: Manager, rootfs: str) -> None:
    async def cycle(number: int) -> None:
        async with manager.task(f"leak{number}", ["cat"], root=rootfs) as (shim, task):
            await task.start()
            await task.run("e", ["true"])
        assert await shim.wait_gone()

    def census() -> tuple[int, int, list[str]]:
        folders = [path for path in Path(manager.folder).rglob("*") if "leak" in path.name]
        return len(os.listdir("/proc/self/fd")), threading.active_count(), list(map(str, folders))

    await cycle(0)
    before = census()
    for number in range(1, 6):
        await cycle(number)
    assert census() == before


async def test_a_killed_servers_socket_is_removed_unless_another_listens(
    manager: Manager, rootfs: str
) -> None:
    pod = pod_annotations("socket")
    async with manager.task("first", ["cat"], root=rootfs, annotations=pod) as (first, _):
        await first.kill()
        assert first.answer is not None
        path = first.answer.address.removeprefix("unix://")
        assert exists(path)
        async with manager.task("second", ["cat"], root=rootfs, annotations=pod) as (second, _):
            assert second.answer == first.answer
            await first.close()
            assert first.forget()
            assert exists(path)
    assert await second.wait_gone()
