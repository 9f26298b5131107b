"""Hostile and broken input over the wire: a clear refusal, a living server, and nothing left."""

import asyncio
import copy
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import any_pb2

from podshim.api import runhcs_options_pb2, task_v3_pb2, task_v3_ttrpc, types_pb2
from podshim.errors import Code
from podshim.manager import Shim, Task, pod_annotations
from podshim.ttrpc import StatusError

assert sys.platform == "win32"

from windows.cases.shims import (  # noqa: E402 - after the line above
    HOST_PROCESS,
    PAUSE,
    Stage,
    python,
    refused,
    stage,
    unique,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What an error that nobody foresaw would say.
UNFORESEEN = ("Error(", "Traceback", "NoneType", "object has no", "unhashable", "not subscriptable")
#: In place of any member of a document.
ODD: tuple[Any, ...] = (
    None,
    5,
    -1,
    1.5,
    True,
    "words",
    "a\0b",
    "\ud800",
    [],
    [None],
    {},
    {"x": [0]},
    2**70,
)
OPTIONS = "containerd.runhcs.v1.Options"
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"

#: What a call that makes something is undone by.
UNDONE_BY = {
    "HcsCreateComputeSystem": "HcsCloseComputeSystem",
    "ActivateLayer": "DeactivateLayer",
    "PrepareLayer": "UnprepareLayer",
    "HcsAttachLayerStorageFilter": "HcsDetachLayerStorageFilter",
}


@dataclass
class Pod:
    """A pod that takes anything, and the folder of its bundles."""

    stage: Stage
    name: str
    shim: Shim
    pause: Task
    web: Task
    folder: Path
    count: int = field(default=0)

    def bundle(self, text: str | bytes) -> str:
        """A bundle with this `config.json`."""
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        (folder / "config.json").write_bytes(data)
        return str(folder)

    async def create(self, bundle: str, name: str = "", **fields: Any) -> str:
        """Create a container; its id."""
        name = name or unique("x")
        request = task_v3_pb2.CreateTaskRequest(id=name, bundle=bundle, **fields)
        await self.shim.calls.call(task_v3_ttrpc.CREATE, request)
        return name

    async def delete(self, name: str, exec_id: str = "") -> None:
        request = task_v3_pb2.DeleteRequest(id=name, exec_id=exec_id)
        await self.shim.calls.call(task_v3_ttrpc.DELETE, request)

    async def tried(self, bundle: str, **fields: Any) -> str:
        """Try to create a container: how it was refused; empty if it was made, and deleted."""
        try:
            name = await self.create(bundle, **fields)
        except StatusError as error:
            return clear(error)
        await self.delete(name)
        return ""

    def left(self) -> Counter[str]:
        """What was made more often than undone."""
        made: Counter[str] = Counter()
        numbers = {}
        for line in self.stage.lines():
            if line["what"] == "call":
                numbers[line["number"]] = line["name"]
                continue
            if line["what"] != "return" or line.get("result", "0x0") not in {"0x0", "0x00000000"}:
                continue
            made[numbers.get(line["call"], "")] += 1
        return Counter({name: made[name] - made[undo] for name, undo in UNDONE_BY.items()})

    async def well(self) -> None:
        """The server answers, and what runs in it runs."""
        assert (await self.web.state()).status == 2
        assert (await self.pause.state()).status == 2


def clear(error: StatusError) -> str:
    """The text of a refusal that a user can understand."""
    text = str(error)
    assert not any(word in text for word in UNFORESEEN), text
    assert error.code in {
        Code.UNKNOWN,
        Code.INVALID_ARGUMENT,
        Code.FAILED_PRECONDITION,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.UNIMPLEMENTED,
    }, error
    assert text
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(stage(tmp_path_factory.mktemp("input")))
        name = unique("pod")
        shim, pause = await stack.enter_async_context(made.pod(name))
        _, web = await stack.enter_async_context(made.container(name, PAUSE))
        await web.start()
        folder = tmp_path_factory.mktemp("bundles")
        yield Pod(made, name, shim, pause, web, folder)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_is_left(pod: Pod) -> AsyncIterator[None]:
    before = pod.left()
    yield
    await pod.well()
    assert pod.left() == before


def full(pod: Pod) -> dict[str, Any]:
    """A spec with everything that a Windows container may say."""
    spec = pod.stage.spec(
        "shared",
        PAUSE,
        pod_annotations(pod.name),
        process={
            "env": ["A=b"],
            "user": {"username": "u"},
            "consoleSize": {"height": 1, "width": 1},
        },
        resources={
            "memory": {"limit": 1 << 28},
            "cpu": {"count": 1},
            "storage": {"iops": 1, "bps": 1, "sandboxSize": 1},
        },
        devices=[{"id": "5b45201d-f2f2-4f3b-85bb-30ff1f953599", "idType": "class"}],
    )
    folder = str(pod.folder)
    return {**spec, "mounts": [{"destination": "C:\\m", "source": folder, "options": ["ro"]}]}


def changed(document: Any, odd: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """A document with each of its members in turn missing, or replaced by something odd."""

    def places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        keys = (
            value
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else ()
        )
        for key in keys:
            yield (*path, key)
            yield from places(value[key], (*path, key))

    for place in places(document, ()):
        for what in (*odd, ...):
            new = copy.deepcopy(document)
            holder = new
            for key in place[:-1]:
                holder = holder[key]
            if what is ...:
                del holder[place[-1]]
            else:
                holder[place[-1]] = what
            yield f"{'.'.join(map(str, place))} = {what!r:.20}", new


async def test_the_spec_that_is_broken_here_is_good(pod: Pod) -> None:
    before = pod.left()
    name = await pod.create(pod.bundle(json.dumps(full(pod))))
    assert sorted((pod.left() - before).items()) == [
        ("ActivateLayer", 1),
        ("HcsCreateComputeSystem", 1),
        ("PrepareLayer", 1),
    ]
    await pod.delete(name)


async def test_every_member_of_a_spec_may_be_odd(pod: Pod) -> None:
    answers: dict[str, str] = {}
    specs = list(changed(full(pod), ODD))
    for some in (specs[at : at + 16] for at in range(0, len(specs), 16)):
        tries = [pod.tried(pod.bundle(json.dumps(spec))) for _, spec in some]
        answers |= zip((what for what, _ in some), await asyncio.gather(*tries), strict=True)
    told = {what: text for what, text in answers.items() if text}
    assert len(told) > len(answers) / 3
    for member in ("hostname", "windows.layerFolders", "windows.resources.cpu"):
        assert f"{member} must be" in told[f"{member} = 5"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "5",
        '"x"',
        "{",
        "{}{",
        '{"windows": {}, "windows": 5}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"root": ' + "9" * 10_000 + "}",
        b"\xff\xfe{\x00}\x00",
        b'{"hostname": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"hostname": NaN}',
        '{"windows": null, "linux": null}',
        '{"windows": {"hyperv": null}}',
        '{"linux": {}}',
        '{"windows": {"hyperv": {}}, "annotations": null}',
    ],
    ids=range(19),
)
async def test_what_is_no_spec_is_refused(pod: Pod, text: str | bytes) -> None:
    assert await pod.tried(pod.bundle(text))


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\0b", "ä", "x" * 5000, "a b", "-", "C:\\x"])
async def test_odd_ids_are_refused(pod: Pod, name: str) -> None:
    bundle = pod.bundle(json.dumps(full(pod)))
    request = task_v3_pb2.CreateTaskRequest(id=name, bundle=bundle)
    with pytest.raises(StatusError) as caught:
        await pod.shim.calls.call(task_v3_ttrpc.CREATE, request)
    assert caught.value.code is Code.INVALID_ARGUMENT
    clear(caught.value)
    async with refused(Code.NOT_FOUND):
        await pod.shim.calls.call(task_v3_ttrpc.STATE, task_v3_pb2.StateRequest(id=name))
    async with refused(Code.NOT_FOUND):
        await pod.shim.calls.call(task_v3_ttrpc.KILL, task_v3_pb2.KillRequest(id=name))
    async with refused(Code.NOT_FOUND):
        await pod.delete(name)


@pytest.mark.parametrize(
    "bundle", ["", "bundle", "C:\\no\\such", "C:\\a\0b", "\\\\.\\pipe\\x", "C:"]
)
async def test_odd_bundles_are_refused(pod: Pod, bundle: str) -> None:
    assert await pod.tried(bundle)


async def test_odd_options_are_refused(pod: Pod) -> None:
    bundle = pod.bundle(json.dumps(full(pod)))
    broken = any_pb2.Any(type_url=OPTIONS, value=b"\xff\xff")
    other = any_pb2.Any(type_url="containerd.task.v2.StateRequest")
    unknown = any_pb2.Any(type_url="example.Unknown")
    bare = any_pb2.Any(type_url="", value=b"x")
    for options in (broken, other, unknown, bare):
        assert await pod.tried(bundle, options=options)


async def test_options_may_fill_annotations_that_are_null(pod: Pod) -> None:
    spec = full(pod) | {"annotations": None}
    options = runhcs_options_pb2.Options(default_container_annotations=pod_annotations(pod.name))
    packed = any_pb2.Any(type_url=OPTIONS, value=options.SerializeToString())
    assert await pod.tried(pod.bundle(json.dumps(spec)), options=packed) == ""


async def test_odd_streams_are_refused(pod: Pod) -> None:
    bundle = pod.bundle(json.dumps(full(pod)))
    for fields in (
        {"stdout": "\\\\.\\pipe\\no\0such"},
        {"stdout": "http://x"},
        {"stdout": "binary://"},
        {"stdout": "C:\\x"},
        {"stdout": "\\\\server\\pipe\\x"},
        {"stdout": "%zz://"},
        {"terminal": True, "stderr": "\\\\.\\pipe\\x"},
    ):
        assert await pod.tried(bundle, **fields), fields


async def test_odd_root_file_systems_are_refused(pod: Pod) -> None:
    bundle = pod.bundle(json.dumps(full(pod)))
    parents = 'parentLayerPaths=["C:\\\\a"]'
    for mount in (
        types_pb2.Mount(),
        types_pb2.Mount(type="overlay", source="C:\\x"),
        types_pb2.Mount(type="windows-layer", source="a\0b", options=[parents]),
        types_pb2.Mount(type="windows-layer", source="C:\\x", options=["parentLayerPaths=5"]),
        types_pb2.Mount(type="windows-layer", source="C:\\x", options=["parentLayerPaths=[null]"]),
    ):
        assert await pod.tried(bundle, rootfs=[mount]), mount


async def test_an_exec_needs_a_process(pod: Pod) -> None:
    good: dict[str, Any] = {"args": PAUSE, "cwd": "C:\\", "env": ["A=b"], "user": {"username": "u"}}
    values = [b"", b"null", b"[]", b"5", b"{", b"\xff", b'"x"', b"{}{", b"[" * 100_000]
    values += [json.dumps(spec).encode() for _, spec in changed(good, ODD)]
    refusals = 0
    for value in values:
        name = unique("e")
        spec = any_pb2.Any(type_url=PROCESS, value=value)
        request = task_v3_pb2.ExecProcessRequest(id=pod.web.task_id, exec_id=name, spec=spec)
        try:
            await pod.shim.calls.call(task_v3_ttrpc.EXEC, request)
        except StatusError as error:
            clear(error)
            refusals += 1
        else:
            await pod.delete(pod.web.task_id, name)
    assert refusals > len(values) / 2
    request = task_v3_pb2.ExecProcessRequest(id=pod.web.task_id, exec_id=unique("e"))
    async with refused(Code.INVALID_ARGUMENT, "request.Spec must not be empty"):
        await pod.shim.calls.call(task_v3_ttrpc.EXEC, request)


async def test_odd_exec_ids_are_refused(pod: Pod) -> None:
    spec = any_pb2.Any(type_url=PROCESS, value=b'{"commandLine": "x", "cwd": ""}')
    for name in ("a/b", "a\0b", "..", "x" * 5000, "ä"):
        request = task_v3_pb2.ExecProcessRequest(id=pod.web.task_id, exec_id=name, spec=spec)
        async with refused(Code.INVALID_ARGUMENT):
            await pod.shim.calls.call(task_v3_ttrpc.EXEC, request)
    for name in ("", pod.web.task_id):
        request = task_v3_pb2.ExecProcessRequest(id=pod.web.task_id, exec_id=name, spec=spec)
        async with refused(Code.ALREADY_EXISTS, f"exec: '{name}' in task:"):
            await pod.shim.calls.call(task_v3_ttrpc.EXEC, request)


async def test_a_process_that_cant_be_made_says_so_at_its_start(pod: Pod) -> None:
    process = await pod.web.exec(unique("e"), ["no-such-program.exe"])
    with pytest.raises(StatusError) as caught:
        await process.start()
    assert "no-such-program.exe" in clear(caught.value) or "0x2" in clear(caught.value)
    assert (await process.wait()).status == 1
    await process.delete()


async def test_odd_updates_are_refused(pod: Pod) -> None:
    windows = "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources"
    mount = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/ContainerMount"
    good = {"memory": {"limit": 1 << 28}}
    values = [b"null", b"[]", b"{", b"\xff", b"5", b"[" * 100_000]
    values += [json.dumps(each).encode() for _, each in changed(good, ODD)]
    values += [json.dumps({"cpu": each}).encode() for each in ODD if each is not None]
    for value in values:
        for url in (windows, mount, "x", ""):
            request = task_v3_pb2.UpdateTaskRequest(
                id=pod.web.task_id, resources=any_pb2.Any(type_url=url, value=value)
            )
            try:
                await pod.shim.calls.call(task_v3_ttrpc.UPDATE, request)
            except StatusError as error:
                clear(error)
    request = task_v3_pb2.UpdateTaskRequest(id=pod.web.task_id)
    async with refused(Code.INVALID_ARGUMENT, "resources cannot be empty"):
        await pod.shim.calls.call(task_v3_ttrpc.UPDATE, request)


async def test_a_host_process_container_does_not_belong_here(pod: Pod) -> None:
    spec = full(pod)
    spec["annotations"] |= HOST_PROCESS
    assert await pod.tried(pod.bundle(json.dumps(spec)))


async def test_a_good_container_lives_after_all_that(pod: Pod) -> None:
    async with pod.stage.container(pod.name, python("print(input())")) as (_, task):
        await task.start()
        await task.stdin.write(b"fine\n")
        stdout, _ = await task.read_all()
        assert stdout.split() == [b"fine"]
        assert (await task.wait()).status == 0
        await task.delete()
