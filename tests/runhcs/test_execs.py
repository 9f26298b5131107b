"""Further processes of a task: which are refused, in which order, and how they are asked for."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given, strategies as st

from podshim.api import task_v2_pb2 as pb
from podshim.errors import Code, InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member
from podshim.task.runhcs.hostprocess import adjusted, adjusted_spec
from runhcs.slot_support import (
    INHERIT_USER,
    argon,
    begun,
    exec_request,
    host_process,
    in_pod,
    status_of,
    until,
    xenon,
)

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim

PRECONDITION, EXISTS, INVALID = (
    Code.FAILED_PRECONDITION,
    Code.ALREADY_EXISTS,
    Code.INVALID_ARGUMENT,
)
MUST_RUN = (
    PRECONDITION,
    "exec: '' in task: 'c1' must be running to create additional execs: failed precondition",
)


@pytest.mark.parametrize("exec_id", ["", "e1", "c1"])
async def test_an_id_that_is_taken(shim: Shim, exec_id: str) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    assert await status_of(shim.exec("c1", exec_id)) == (
        EXISTS,
        f"exec: '{exec_id}' in task: 'c1' already exists: already exists",
    )


@pytest.mark.parametrize("exec_id", ["..", "a/b", "x" * 77])
async def test_an_id_that_is_none(shim: Shim, exec_id: str) -> None:
    await shim.run(argon())
    assert (await status_of(shim.exec("c1", exec_id)))[0] is INVALID


async def test_a_taken_id_is_told_before_the_init_s_state(shim: Shim) -> None:
    await shim.create(argon())
    assert (await status_of(shim.exec("c1", "")))[0] is EXISTS


async def test_the_init_must_run(shim: Shim) -> None:
    await shim.create(argon())
    assert await status_of(shim.exec("c1", "e1")) == MUST_RUN
    await shim.start()
    shim.process().finish(0)
    await shim.wait()
    assert await status_of(shim.exec("c1", "e1")) == MUST_RUN


async def test_an_id_may_be_used_again_after_the_deletion(shim: Shim) -> None:
    await shim.run(argon())
    for _ in range(2):
        await shim.exec("c1", "e1")
        await shim.delete("c1", "e1")
    added = ["exec-added c1/e1", "delete c1/e1 0"]
    assert shim.told() == ["create c1", "start c1", *added, *added]


async def test_one_id_is_given_once(shim: Shim) -> None:
    await shim.run(argon())
    slow = shim.engine.hold("exec c1/e1")
    async with begun(shim.exec("c1", "e1")):
        await slow.reached.wait()
        async with begun(status_of(shim.exec("c1", "e1"))) as second:
            slow.open()
            answer = await second
    assert answer[0] is EXISTS
    assert shim.engine.calls.count("exec c1/e1") == 1


async def test_a_failure_frees_the_id(shim: Shim) -> None:
    await shim.run(argon())
    shim.engine.fail("exec c1/e1", ShimError("open \\\\.\\pipe\\x: not there"))
    answer = await status_of(shim.exec("c1", "e1"))
    assert answer == (Code.UNKNOWN, "open \\\\.\\pipe\\x: not there")
    await shim.exec("c1", "e1")


async def test_the_task_is_looked_for_first(shim: Shim) -> None:
    request = exec_request("c1", "e1", terminal=True, stderr="x")
    assert (await status_of(shim.task.exec(request)))[0] is Code.NOT_FOUND


async def test_a_terminal_has_no_standard_error(shim: Shim) -> None:
    await shim.run(argon())
    request = exec_request("c1", "e1", terminal=True, stderr="x")
    text = "if using terminal, stderr must be empty: failed precondition"
    assert await status_of(shim.task.exec(request)) == (PRECONDITION, text)


async def test_a_missing_spec(shim: Shim) -> None:
    await shim.run(argon())
    request = pb.ExecProcessRequest(id="c1", exec_id="e1")
    answer = (INVALID, "request.Spec must not be empty: invalid argument")
    assert await status_of(shim.task.exec(request)) == answer


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", Code.UNKNOWN),
        (b"{", Code.UNKNOWN),
        (b"\xff", Code.UNKNOWN),
        (b"[" * 100_000, Code.UNKNOWN),
        (b"null", INVALID),
        (b"[]", INVALID),
    ],
    ids=["empty", "cut", "no text", "deep", "null", "list"],
)
async def test_a_broken_spec(shim: Shim, value: bytes, code: Code) -> None:
    await shim.run(argon())
    request = exec_request("c1", "e1", spec=AnyMessage(type_url="x", value=value))
    found, text = await status_of(shim.task.exec(request))
    assert found is code
    assert text.startswith("request.Spec was not oci process: ")
    assert not shim.container().exec_specs


async def test_the_type_url_of_a_spec_does_not_matter(shim: Shim) -> None:
    await shim.run(argon())
    spec = AnyMessage(type_url="whatever", value=b'{"args":["x"]}')
    await shim.task.exec(exec_request("c1", "e1", spec=spec))
    assert shim.container().exec_specs == {"e1": {"args": ["x"]}}


@pytest.mark.parametrize("state", ["created", "running", "exited"])
async def test_a_pretended_sandbox_has_none(make_shim: MakeShim, state: str) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.create(host_process(in_pod(argon(), "sandbox")), "p")
    if state != "created":
        await shim.start("p")
    if state == "exited":
        await shim.kill("p")
    for exec_id in ("e1", ""):
        answer = await status_of(shim.exec("p", exec_id))
        text = "WCOW Pod task should never issue exec: not implemented"
        assert answer == (Code.UNIMPLEMENTED, text)


async def test_an_exec_s_bundle_is_that_of_its_task(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    assert (await shim.state("c1", "e1")).bundle == (await shim.state()).bundle


async def test_an_exec_is_not_started_in_a_dying_container(shim: Shim) -> None:
    await shim.run(argon())
    await shim.exec("c1", "e1")
    slow = shim.engine.hold("init_exited c1")
    shim.process().finish(0)
    await slow.reached.wait()
    answer = await status_of(shim.start("c1", "e1"))
    text = "exec: 'e1' in task: 'c1' is in invalid state: 'exited' for start: failed precondition"
    assert answer == (PRECONDITION, text)
    slow.open()
    await shim.wait()
    assert shim.told() == ["create c1", "start c1", "exec-added c1/e1", "exit c1 0"]


# Commands of HostProcess containers in VMs.


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ({"commandLine": "ping x"}, {"commandLine": "cmd /c ping x"}),
        ({"commandLine": "cmd /c dir"}, {"commandLine": "cmd /c dir"}),
        ({"commandLine": "CMD.EXE /c dir"}, {"commandLine": "CMD.EXE /c dir"}),
        (
            {"commandLine": "C:\\Windows\\System32\\cmd.exe /c dir"},
            {"commandLine": "C:\\Windows\\System32\\cmd.exe /c dir"},
        ),
        ({"commandLine": "  cmd /c dir"}, {"commandLine": "  cmd /c dir"}),
        ({"commandLine": "  ping"}, {"commandLine": "cmd /c   ping"}),
        ({"commandLine": "   "}, {"commandLine": "cmd /c    "}),
        ({"commandLine": "cmdx"}, {"commandLine": "cmd /c cmdx"}),
        ({"args": ["ping", "x"]}, {"args": ["cmd", "/c", "ping", "x"]}),
        ({"args": [" CMD.EXE ", "x"]}, {"args": [" CMD.EXE ", "x"]}),
        ({"args": ["C:/Windows/System32/cmd"]}, {"args": ["C:/Windows/System32/cmd"]}),
        ({"args": []}, {"args": []}),
        ({}, {}),
        (
            {"commandLine": "ping", "args": ["ping"]},
            {"commandLine": "cmd /c ping", "args": ["ping"]},
        ),
        ({"commandLine": "", "args": ["ping"]}, {"commandLine": "", "args": ["cmd", "/c", "ping"]}),
        (None, None),
    ],
)
def test_commands_are_left_to_the_command_prompt(
    process: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    assert adjusted(Member(process), {}) == expected


@pytest.mark.parametrize(
    ("annotation", "user", "expected"),
    [
        ("true", {"username": "joe", "x": 1}, {"username": "NT AUTHORITY\\SYSTEM", "x": 1}),
        ("true", None, {"username": "NT AUTHORITY\\SYSTEM"}),
        ("false", {"username": "joe"}, {"username": "joe"}),
        ("1", {"username": "joe"}, {"username": "joe"}),
        (None, {"username": "joe"}, {"username": "joe"}),
    ],
)
def test_an_inherited_user_is_the_system(
    annotation: str | None, user: object, expected: object
) -> None:
    annotations = {} if annotation is None else {INHERIT_USER: annotation}
    found = adjusted(Member({"args": ["cmd"], "user": user}), {"annotations": annotations})
    assert found is not None
    assert found["user"] == expected


@given(
    st.one_of(
        st.dictionaries(
            st.sampled_from(["args", "commandLine", "user"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            ),
        ),
        st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_whatever_a_process_is_nothing_but_an_error_comes_of_it(process: object) -> None:
    spec = {"annotations": {INHERIT_USER: "true"}}
    with contextlib.suppress(InvalidArgumentError):
        adjusted(Member(process), spec)


def test_only_isolated_host_process_containers_are_adjusted() -> None:
    for spec in (argon(), xenon(), host_process(argon())):
        assert adjusted_spec(spec) is spec
    assert adjusted_spec(host_process(xenon("ping")))["process"]["args"] == ["cmd", "/c", "ping"]


async def test_execs_of_isolated_host_process_containers_are_adjusted(make_shim: MakeShim) -> None:
    shim = await make_shim(task_id="p", is_sandbox=True)
    await shim.run(in_pod(xenon(), "sandbox"), "p")
    await shim.run(host_process(in_pod(xenon(), **{INHERIT_USER: "true"})), "w1")
    await shim.exec("w1", "e1", "ping", "x")
    assert shim.container("w1").exec_specs["e1"] == {
        "args": ["cmd", "/c", "ping", "x"],
        "user": {"username": "NT AUTHORITY\\SYSTEM"},
    }
    value = json.dumps({"args": 5}).encode()
    request = exec_request("w1", "e2", spec=AnyMessage(value=value))
    answer = (INVALID, "exec spec: args must be a list: invalid argument")
    assert await status_of(shim.task.exec(request)) == answer


async def test_other_execs_are_left_alone(shim: Shim) -> None:
    await shim.run(host_process(argon()))
    await shim.exec("c1", "e1", "ping")
    await until(lambda: bool(shim.container().exec_specs))
    assert shim.container().exec_specs["e1"] == {"args": ["ping"]}
