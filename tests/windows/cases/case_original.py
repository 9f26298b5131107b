"""The original shim lives a pod's whole life over the stand-in: both are good for comparisons."""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2

from podshim.api import task_v2_pb2 as task
from podshim.api.task_v2_ttrpc import TaskStub
from podshim.errors import Code
from podshim.ttrpc import StatusError

assert sys.platform == "win32"

from windows.cases.pods import (  # noqa: E402 - after the line that tells where this runs
    Shim,
    bundle,
    container_spec,
)

LIMIT = 30.0  # seconds for one call


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    os.environ["HCS_STANDIN_TRACE"] = str(tmp_path / "trace.jsonl")
    return Shim(os.environ["PODSHIM_ORIGINAL_SHIM"])


def hcs_calls(folder: Path, system: str) -> list[dict[str, Any]]:
    lines = (folder / "trace.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [line for line in map(json.loads, lines) if line["what"] == "call"]
    return [call for call in calls if call.get("system") == system]


async def test_an_unknown_command_line_is_refused(shim: Shim, tmp_path: Path) -> None:
    done = await shim.call("nonsense", "p", tmp_path)
    assert done.returncode == 3


async def test_delete_of_nothing_answers_255(shim: Shim, tmp_path: Path) -> None:
    done = await shim.call("delete", "p", tmp_path, "-bundle", str(tmp_path))
    answer = task.DeleteResponse.FromString(done.stdout)
    assert (done.returncode, answer.exit_status) == (0, 255)


async def test_a_pod_from_start_to_delete(shim: Shim, tmp_path: Path) -> None:
    pod, name = f"p-{uuid.uuid4()}", f"c-{uuid.uuid4()}"
    sandbox = bundle(
        tmp_path / "pod", container_spec(pod, "sandbox", "ping", "-n", "600", "127.0.0.1")
    )
    workload = bundle(
        tmp_path / "workload",
        container_spec(pod, "container", "ping", "-n", "600", "127.0.0.1"),
    )
    async with shim.listening():
        started = await shim.call("start", pod, sandbox)
        assert started.returncode == 0, started
        address = started.stdout.decode()
        assert (sandbox / "address").read_text() == address
        async with shim.connected(address) as client:
            stub = TaskStub(client)
            for which, folder in ((pod, sandbox), (name, workload)):
                if which == name:
                    joined = await shim.call("start", name, workload)
                    assert joined.stdout.decode() == address
                request = task.CreateTaskRequest(id=which, bundle=str(folder))
                created = await stub.create(request, timeout=LIMIT)
                begun = await stub.start(task.StartRequest(id=which), timeout=LIMIT)
                assert begun.pid == created.pid or created.pid == 0
            await _exec(stub, name)
            stats = await stub.stats(task.StatsRequest(id=name), timeout=LIMIT)
            assert stats.stats.type_url == "containerd.runhcs.stats.v1.Statistics"
            for which in (name, pod):
                await stub.kill(task.KillRequest(id=which, signal=9), timeout=LIMIT)
                await stub.wait(task.WaitRequest(id=which), timeout=LIMIT)
                await stub.delete(task.DeleteRequest(id=which), timeout=LIMIT)
            with pytest.raises(StatusError) as gone:
                await stub.state(task.StateRequest(id=name), timeout=LIMIT)
            assert gone.value.code == Code.NOT_FOUND
            await _shut_down(stub, pod)
    done = await shim.call("delete", pod, sandbox, "-bundle", str(sandbox))
    assert done.returncode == 0
    calls = [call["name"] for call in hcs_calls(tmp_path, name)]
    assert [call for call in calls if call.startswith(("HcsCreate", "HcsStart"))] == [
        "HcsCreateComputeSystem",
        "HcsStartComputeSystem",
        "HcsCreateProcess",
        "HcsCreateProcess",
    ]
    assert {"/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"} <= set(
        shim.events.topics
    )


async def _exec(stub: TaskStub, name: str) -> None:
    process = {"args": ["cmd", "/c", "exit", "7"], "cwd": "C:\\", "user": {}}
    spec = any_pb2.Any(
        type_url="types.containerd.io/opencontainers/runtime-spec/1/Process",
        value=json.dumps(process).encode(),
    )
    request = task.ExecProcessRequest(id=name, exec_id="e", spec=spec)
    await stub.exec(request, timeout=LIMIT)
    await stub.start(task.StartRequest(id=name, exec_id="e"), timeout=LIMIT)
    ended = await stub.wait(task.WaitRequest(id=name, exec_id="e"), timeout=LIMIT)
    assert ended.exit_status == 7
    await stub.delete(task.DeleteRequest(id=name, exec_id="e"), timeout=LIMIT)


async def _shut_down(stub: TaskStub, pod: str) -> None:
    # It may close the connection before its answer is out, or crash: both have been seen.
    try:
        await stub.shutdown(task.ShutdownRequest(id=pod), timeout=LIMIT)
    except (StatusError, ConnectionError, asyncio.IncompleteReadError):
        return
