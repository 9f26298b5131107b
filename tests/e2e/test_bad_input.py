"""What can never be right is refused clearly, with the right code, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from google.protobuf import any_pb2

from e2e.e2e_support import (
    RUNNING,
    SHIM,
    House,
    read_spec,
    refused,
    run,
    unchanged,
    write_spec,
)
from podshim.api import task_v3_pb2 as pb, task_v3_ttrpc as rpc
from podshim.engine import Mount, Stdio
from podshim.errors import Code
from podshim.manager import Manager, ShimCommandError, container_spec, process_spec
from support import census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from podshim.manager import Shim
    from podshim.manager.spec import Spec

LONG = "x" * 200


@pytest_asyncio.fixture(loop_scope="session")
async def manager(private_world: None) -> AsyncIterator[Manager]:
    """A small containerd for one test."""
    async with Manager(SHIM, namespace=f"e2e-bad-{secrets.token_hex(4)}") as manager:
        yield manager


CONFIGS = {
    "no config.json": (None, r"config\.json: [Nn]o such file"),
    "broken JSON": ('{"annotations": {', r"config\.json is not valid JSON"),
    "no object": ("[1, 2]", r"config\.json is not a JSON object"),
    "not text": ("\x00\x01", r"config\.json is not valid JSON"),
    "annotations of a wrong type": ('{"annotations": 7}', "annotations is not a map of strings"),
    "an annotation of a wrong type": ('{"annotations": {"a": 7}}', "annotations is not a map"),
    "deeply nested": ("[" * 100_000, r"config\.json is not valid JSON"),
}


@pytest.mark.parametrize("name", list(CONFIGS))
async def test_a_start_with_a_bad_bundle(manager: Manager, name: str) -> None:
    """`start` in a bundle without a usable `config.json`: the reason, and nothing is left."""
    text, reason = CONFIGS[name]
    before, sockets = set(census.shims()), census.sockets()
    shim = manager.prepare("bad", None)
    if text is not None:
        write_spec(shim.bundle, text)
    files = set(os.listdir(shim.bundle.path))
    with pytest.raises(ShimCommandError, match=reason):
        await shim.start()
    assert set(os.listdir(shim.bundle.path)) == files
    assert (set(census.shims()), census.sockets()) == (before, sockets)
    await shim.close()


async def test_a_start_with_a_bundle_that_is_not_readable(manager: Manager) -> None:
    """`config.json` is a folder, or the bundle can't be written: the reason is told."""
    before, sockets = set(census.shims()), census.sockets()
    shim = manager.prepare("folder", None)
    os.mkdir(shim.bundle.file("config.json"))
    with pytest.raises(ShimCommandError, match=r"config\.json: [Ii]s a directory"):
        await shim.start()
    await shim.close()
    shim = manager.prepare("readonly", container_spec(process_spec(["true"])))
    bundle = shim.bundle.path
    await run("mount", "--bind", bundle, bundle)
    await run("mount", "-o", "remount,bind,ro", bundle)
    try:
        with pytest.raises(ShimCommandError, match="Read-only file system"):
            await shim.start()
    finally:
        await run("umount", bundle)
    await shim.close()
    assert (set(census.shims()), census.sockets()) == (before, sockets)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("id", LONG, "greater than maximum length"),
        ("id", "a/b", "must match"),
        ("id", "../x", "must match"),
        ("id", ".hidden", "must match"),
        ("id", "a b", "must match"),
        ("id", "", "must not be empty"),
        ("namespace", "a/b", "must match"),
        ("namespace", LONG, "greater than maximum length"),
        ("namespace", "", "namespace cannot be empty"),
        ("socket_dir", "relative", "socket_dir"),
        ("socket_dir", "/run/../tmp", "socket_dir"),
        ("socket_dir", "/" + "d" * 60, "socket_dir"),
    ],
)
async def test_a_start_with_a_bad_name(
    manager: Manager, field: str, value: str, reason: str
) -> None:
    """Ids, namespaces and socket folders that can't be right are refused, saying which."""
    before, sockets = set(census.shims()), census.sockets()
    shim = manager.prepare("good", container_spec(process_spec(["true"])))
    files = set(os.listdir(shim.bundle.path))
    question = shim.question
    shim.question = dataclasses.replace(question, **{field: value})  # type: ignore[arg-type]  # all are texts
    with pytest.raises(ShimCommandError, match=reason):
        await shim.start()
    shim.question = question
    assert set(os.listdir(shim.bundle.path)) == files
    assert (set(census.shims()), census.sockets()) == (before, sockets)
    await shim.close()


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"id": LONG}, Code.INVALID_ARGUMENT, "greater than maximum length"),
        ({"id": "a/b"}, Code.INVALID_ARGUMENT, "must match"),
        ({"id": ".."}, Code.INVALID_ARGUMENT, "must match"),
        ({"id": ""}, Code.INVALID_ARGUMENT, "must not be empty"),
        ({"bundle": ""}, Code.INVALID_ARGUMENT, "bundle"),
        ({"bundle": "relative"}, Code.INVALID_ARGUMENT, "bundle"),
        ({"bundle": "/no/such/bundle"}, Code.NOT_FOUND, "/no/such/bundle"),
        ({"bundle": "/etc/passwd"}, Code.INVALID_ARGUMENT, "/etc/passwd"),
        ({"bundle": "/a\0b"}, Code.INVALID_ARGUMENT, "bundle"),
        ({"stdout": "x" * 5000}, Code.UNKNOWN, "name too long"),
    ],
)
async def test_a_create_of_something_impossible(
    house: House, fields: dict[str, str], code: Code, reason: str
) -> None:
    """Create with an impossible id or bundle: the code and the reason, and nothing is left."""
    async with house.place(house.spec(["true"])) as shim:
        request = pb.CreateTaskRequest(id=shim.id, bundle=shim.bundle.path)
        for name, value in fields.items():
            setattr(request, name, value)
        with refused(code, reason):
            await shim.calls.call(rpc.CREATE, request)
        assert house.topics(shim) == []
    await unchanged(house)


def _without_process(spec: Spec) -> str:
    del spec["process"]
    return json.dumps(spec)


def _without_rootfs(spec: Spec) -> str:
    spec["root"]["path"] = "/no/such/rootfs"
    return json.dumps(spec)


def _without_args(spec: Spec) -> str:
    spec["process"]["args"] = []
    return json.dumps(spec)


@pytest.mark.parametrize(
    "spoil",
    [
        *(lambda spec: "", lambda spec: "{", lambda spec: "[]"),
        *(_without_process, _without_rootfs, _without_args),
    ],
    ids=["empty", "broken", "no object", "no process", "no rootfs", "no arguments"],
)
async def test_a_create_from_a_bad_spec(house: House, spoil: Callable[[Spec], str]) -> None:
    """A spec that the runtime can't use: its words are told, mounts and streams are undone.

    With a good spec the same id works afterwards.
    """
    async with house.place(house.spec(["true"])) as shim:
        good = read_spec(shim.bundle)
        write_spec(shim.bundle, spoil(read_spec(shim.bundle)))
        with refused(Code.UNKNOWN, "OCI runtime create failed: "):
            await shim.create(rootfs=house.rootfs_mount())
        assert census.mounts_below(Path(shim.bundle.path)) == []
        assert not house.runtime_state(shim.id).exists()
        assert house.topics(shim) == []
        write_spec(shim.bundle, json.dumps(good))
        task = await shim.create(rootfs=house.rootfs_mount())
        await task.start()
        assert (await task.wait()).status == 0
    await unchanged(house)


async def test_a_bundle_that_vanishes(house: House) -> None:
    """Create in a bundle without `config.json`, or one that was removed, names what is missing."""
    async with house.place(house.spec(["true"])) as shim:
        os.unlink(shim.bundle.file("config.json"))
        with refused(Code.UNKNOWN, "config.json"):
            await shim.create()
        moved = f"{shim.bundle.path}.moved"
        os.rename(shim.bundle.path, moved)
        try:
            with refused(Code.NOT_FOUND, shim.bundle.path):
                await shim.create()
        finally:
            os.rename(moved, shim.bundle.path)


async def test_a_full_disk(house: House, tmp_path: Path) -> None:
    """A bundle on a full file system: Create says so, and the server is well."""
    async with house.place(house.spec(["true"])) as shim:
        spec = read_spec(shim.bundle)
        place = tmp_path / "small"
        place.mkdir()
        await run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place))
        try:
            (place / "rootfs").mkdir()
            (place / "config.json").write_text(json.dumps(spec))
            with open(place / "filler", "wb", buffering=0) as filler:
                while True:
                    try:
                        filler.write(bytes(4096))
                    except OSError:
                        break
            with refused(Code.UNKNOWN, "No space left on device"):
                await shim.calls.call(
                    rpc.CREATE, pb.CreateTaskRequest(id=shim.id, bundle=str(place))
                )
        finally:
            await run("umount", str(place))
        shutil.rmtree(place)
    assert (await house.pause.state()).status == RUNNING


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (None, "exec spec must not be empty"),
        (any_pb2.Any(type_url="x", value=b""), "exec spec must not be empty"),
        (any_pb2.Any(value=b"{"), "exec spec is not valid JSON"),
        (any_pb2.Any(value=b"\xff\xfe"), "exec spec is not valid JSON"),
        (any_pb2.Any(value=b"[]"), "exec spec is not a JSON object"),
        (any_pb2.Any(value=b"7"), "exec spec is not a JSON object"),
        (any_pb2.Any(value=b"[" * 200_000), "exec spec is not valid JSON"),
    ],
)
async def test_an_exec_of_something_impossible(
    house: House, spec: any_pb2.Any | None, reason: str
) -> None:
    """Exec with no spec, no JSON, no object is InvalidArgument, and the server lives."""
    async with house.running() as task:
        request = pb.ExecProcessRequest(id=task.task_id, exec_id="e", spec=spec)
        with refused(Code.INVALID_ARGUMENT, reason):
            await task._calls().call(rpc.EXEC, request)
        assert (await task.run("e", ["true"])).status == 0
        assert [topic for topic, _ in house.topics(task)].count("exec-added") == 1


@pytest.mark.parametrize("exec_id", ["", LONG, "a/b", "..", "a b", "\n"])
async def test_an_exec_with_a_bad_id(house: House, exec_id: str) -> None:
    """An exec id that can't be right is InvalidArgument."""
    spec = any_pb2.Any(value=json.dumps(process_spec(["true"])).encode())
    async with house.running() as task:
        request = pb.ExecProcessRequest(id=task.task_id, exec_id=exec_id, spec=spec)
        with refused(Code.INVALID_ARGUMENT):
            await task._calls().call(rpc.EXEC, request)


async def test_an_exec_with_a_spec_of_another_kind(house: House) -> None:
    """A JSON object that is no process is the runtime's to refuse, at Start; Delete then works."""
    async with house.running() as task:
        process = await task.exec("e", spec={"args": 7, "cwd": []}, stdio=Stdio())
        with refused(Code.UNKNOWN, "OCI runtime exec failed: "):
            await process.start()
        await process.delete()
        assert (await task.state()).status == RUNNING
    await unchanged(house)


@pytest.mark.parametrize("resources", [None, b"", b"{", b"[]", b"null"])
async def test_an_update_of_nothing(house: House, resources: bytes | None) -> None:
    """Update without resources, or with something else, is InvalidArgument; the server lives."""
    async with house.running() as task:
        value = None if resources is None else any_pb2.Any(value=resources)
        with refused(Code.INVALID_ARGUMENT, "resources"):
            await task._calls().call(
                rpc.UPDATE, pb.UpdateTaskRequest(id=task.task_id, resources=value)
            )
        assert (await task.state()).status == RUNNING


@pytest.mark.parametrize("number", [128, 1000, 2**32 - 1])
async def test_a_signal_that_is_none(house: House, number: int) -> None:
    """A signal that no kernel has is InvalidArgument, for the init and for execs."""
    async with house.running() as task:
        process = await task.exec("e", ["sleep", "1000"])
        await process.start()
        for victim in (task, process):
            with refused(Code.INVALID_ARGUMENT, str(number)):
                await victim.kill(number)
        assert (await process.state()).status == RUNNING


async def test_a_checkpoint_to_nowhere(house: House) -> None:
    """Checkpoint without a path is InvalidArgument; the container runs on."""
    async with house.running() as task:
        for path in ("", "relative"):
            with refused(Code.INVALID_ARGUMENT, "checkpoint path"):
                await task.checkpoint(path)
        assert (await task.state()).status == RUNNING


async def test_many_failing_creates_leave_nothing(house: House) -> None:
    """Creates that fail at different steps, one after another: nothing adds up."""

    async def fail(shim: Shim, number: int) -> None:
        mounts = house.rootfs_mount()
        stdio = None
        if number % 3 == 1:
            mounts = [*mounts, Mount("nosuchfs", "x")]
        elif number % 3 == 2:
            stdio = Stdio(stdout="/no/such/fifo")
        with refused(Code.UNKNOWN):
            await shim.create(rootfs=mounts, stdio=stdio, terminal=number % 2 == 0)

    for number in range(12):
        spec = house.spec(["/no/such/program"], terminal=number % 2 == 0)
        async with house.place(spec) as shim:
            await fail(shim, number)
    await unchanged(house)
