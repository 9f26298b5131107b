"""What a creation is refused for before anything is made, and what options add to a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from podshim.api import task_v2_pb2 as pb
from podshim.api.runhcs_options_pb2 import Options
from podshim.errors import Code, FailedPreconditionError, InvalidArgumentError
from podshim.task.runhcs import platforms
from podshim.task.runhcs.platforms import Platform
from runhcs.slot_support import argon, in_pod, lcow, status_of, xenon

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim, Spec

INVALID, PRECONDITION, UNKNOWN = Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.UNKNOWN
DISABLE_UNSAFE = "io.microsoft.disable-unsafe-operations"
HYPERVISOR = Options(sandbox_isolation=Options.HYPERVISOR)


async def refused(shim: Shim, spec: object, **fields: Any) -> tuple[Code, str]:
    answer = await status_of(shim.task.create(shim.request(spec, **fields)))
    assert not shim.engine.requests
    assert not shim.engine.vms
    assert shim.told() == []
    return answer


async def spec_taken(shim: Shim, spec: Spec, **fields: Any) -> Any:
    await shim.create(spec, **fields)
    return shim.engine.requests[-1].spec


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (
            AnyMessage(type_url="example.com/some.Unknown"),
            (UNKNOWN, "type with url example.com/some.Unknown: not found"),
        ),
        (
            AnyMessage(type_url="containerd.events.TaskExit"),
            (
                INVALID,
                (
                    "runtime options must be containerd.runhcs.v1.Options,"
                    " not containerd.events.TaskExit: invalid argument"
                ),
            ),
        ),
    ],
)
async def test_options_of_another_type(
    shim: Shim, options: AnyMessage, answer: tuple[Code, str]
) -> None:
    request = shim.request(argon())
    request.options.CopyFrom(options)
    assert await status_of(shim.task.create(request)) == answer


async def test_options_that_are_broken(shim: Shim) -> None:
    request = shim.request(argon())
    request.options.type_url = "types.googleapis.com/containerd.runhcs.v1.Options"
    request.options.value = b"\xff\xff"
    code, text = await status_of(shim.task.create(request))
    assert code is UNKNOWN
    assert text.startswith("runtime options: ")


async def test_options_become_annotations_that_win_over_nothing(shim: Shim) -> None:
    options = Options(
        boot_files_root_path="C:\\boot",
        vm_processor_count=3,
        vm_memory_size_in_mb=4096,
        NCProxyAddr="\\\\.\\pipe\\nc",
        default_container_annotations={"a": "default", "b": "default"},
        io_retry_timeout_in_sec=7,
        scale_cpu_limits_to_sandbox=True,
    )
    spec = await spec_taken(shim, argon(annotations={"a": "own"}), options=options)
    assert spec["annotations"] == {
        "a": "own",
        "b": "default",
        "io.microsoft.virtualmachine.bootfilesrootpath": "C:\\boot",
        "io.microsoft.virtualmachine.computetopology.processor.count": "3",
        "io.microsoft.virtualmachine.computetopology.memory.sizeinmb": "4096",
        "io.microsoft.network.ncproxy": "\\\\.\\pipe\\nc",
    }
    assert shim.engine.requests[-1].io_retry_timeout == 7.0
    assert shim.engine.requests[-1].scale_cpu_limits


@pytest.mark.parametrize("annotations", [None, {}])
async def test_options_need_no_annotations_to_add_to(shim: Shim, annotations: object) -> None:
    spec = argon()
    spec["annotations"] = annotations
    taken = await spec_taken(shim, spec, options=Options(default_container_annotations={"a": "b"}))
    assert taken["annotations"] == {"a": "b"}


async def test_annotations_expand(shim: Shim) -> None:
    spec = await spec_taken(shim, argon(annotations={DISABLE_UNSAFE: "true"}))
    assert spec["annotations"]["microsoft.com/disable-hostprocess-container"] == "true"


@pytest.mark.parametrize(
    ("annotations", "text"),
    [
        (
            {DISABLE_UNSAFE: "true", "io.microsoft.container.wcow.gmsa.disable": "false"},
            (
                f'annotation expansion conflict: "{DISABLE_UNSAFE}" = "true"'
                ' and "io.microsoft.container.wcow.gmsa.disable" = "false"'
            ),
        ),
        (
            {
                "microsoft.com/disable-hostprocess-container": "1",
                "microsoft.com/hostprocess-container": "true",
            },
            (
                "specified annotations conflict: host process container annotations"
                ' "microsoft.com/disable-hostprocess-container" = "1"'
                ' and "microsoft.com/hostprocess-container" = "true"'
            ),
        ),
    ],
)
async def test_annotations_that_contradict(
    shim: Shim, annotations: dict[str, str], text: str
) -> None:
    answer = await refused(shim, argon(annotations=annotations))
    assert answer == (UNKNOWN, f"unable to process OCI Spec annotations: {text}")


async def test_hypervisor_isolation_makes_a_container_isolated(shim: Shim) -> None:
    spec = await spec_taken(shim, argon(), options=HYPERVISOR)
    assert spec["windows"]["hyperv"] == {}
    assert shim.engine.vm_requests[0].id == "c1@vm"


@pytest.mark.parametrize("spec", [xenon(), lcow()], ids=["wcow", "lcow"])
async def test_process_isolation_refuses_isolated_specs(shim: Shim, spec: Spec) -> None:
    text = "invalid runtime sandbox isolation (PROCESS) for hypervisor isolated OCI spec"
    assert await refused(shim, spec, options=Options(debug=True)) == (UNKNOWN, text)


async def test_default_options_say_nothing_of_isolation(shim: Shim) -> None:
    await shim.create(xenon(), options=Options())
    assert shim.engine.vm_requests


@pytest.mark.parametrize(
    ("spec", "platform", "answer"),
    [
        (
            lcow(),
            "windows/amd64",
            (
                UNKNOWN,
                "non-empty Linux config in OCI spec for Windows sandbox platform: windows/amd64",
            ),
        ),
        (
            xenon(),
            "linux",
            (UNKNOWN, "empty Linux config in OCI spec for Linux sandbox platform: linux/amd64"),
        ),
        (
            xenon(),
            "plan9/arm",
            (UNKNOWN, "unknown runtime sandbox platform OS: plan9/arm"),
        ),
        (
            xenon(),
            "win*",
            (
                INVALID,
                (
                    'invalid runtime sandbox platform: "win*": wildcards not yet supported:'
                    " invalid argument"
                ),
            ),
        ),
    ],
)
async def test_a_platform_that_does_not_fit(
    shim: Shim, spec: Spec, platform: str, answer: tuple[Code, str]
) -> None:
    options = Options(sandbox_platform=platform, sandbox_isolation=Options.HYPERVISOR)
    assert await refused(shim, spec, options=options) == answer


@pytest.mark.parametrize(
    ("spec", "platform"), [(argon(), "windows/amd64"), (lcow(), "linux"), (argon(), "amd64")]
)
async def test_a_platform_that_fits(shim: Shim, spec: Spec, platform: str) -> None:
    options = Options(sandbox_platform=platform, sandbox_isolation=Options.HYPERVISOR)
    await shim.create(spec, options=options)


@pytest.mark.parametrize(
    ("specifier", "platform"),
    [
        ("windows", Platform("windows", "amd64")),
        ("Windows/AMD64", Platform("windows", "amd64")),
        ("windows(10.0.17763)/amd64", Platform("windows", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("linux/aarch64/9", Platform("linux", "arm64", "v9")),
        ("linux/x86_64/v2", Platform("linux", "amd64", "v2")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("linux/i386/v1", Platform("linux", "386")),
        ("linux/arm", Platform("linux", "arm")),
        ("linux/arm/7", Platform("linux", "arm", "v7")),
        ("linux/armhf", Platform("linux", "arm")),
        ("linux/armel/v7", Platform("linux", "arm", "v6")),
        ("arm64", Platform("windows", "arm64")),
        ("macos", Platform("darwin", "amd64")),
        ("anything/386", Platform("anything", "386")),
    ],
)
def test_platforms(specifier: str, platform: Platform) -> None:
    assert platforms.parse(specifier) == platform


@pytest.mark.parametrize(
    ("specifier", "text"),
    [
        ("", " is an invalid OS component of "),
        ("windows/", " is an invalid component of "),
        ("windows/a b", " is an invalid component of "),
        ("windows\n", " is an invalid OS component of "),
        ("windows/amd64\n", " is an invalid component of "),
        ("nonsense", '"nonsense": unknown operating system or architecture'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier'),
    ],
)
def test_platforms_that_are_none(specifier: str, text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        platforms.parse(specifier)
    assert text in str(caught.value)


NEITHER = "oci spec does not contain WCOW or LCOW spec: failed precondition"


@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ({}, (PRECONDITION, NEITHER)),
        ({"windows": None}, (PRECONDITION, NEITHER)),
        (
            {"linux": {}},
            (PRECONDITION, "config.json: windows must be an object: failed precondition"),
        ),
        ({"windows": 5}, (INVALID, "config.json: windows must be an object: invalid argument")),
        (
            argon(annotations=None, process={}) | {"annotations": ["a"]},
            (INVALID, "config.json: annotations must be an object: invalid argument"),
        ),
        (
            argon() | {"annotations": {"a": 1}},
            (INVALID, "config.json: annotations.a must be a string: invalid argument"),
        ),
        (argon(root=7), (INVALID, "config.json: root must be an object: invalid argument")),
    ],
)
async def test_specs_that_crash_others(
    make_shim: MakeShim, spec: object, answer: tuple[Code, str], is_sandbox: bool
) -> None:
    shim = await make_shim(task_id="c1", is_sandbox=is_sandbox)
    assert await refused(shim, spec) == answer
    await shim.create(in_pod(argon(), "sandbox", pod="c1") if is_sandbox else argon())


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (argon(process="x"), "process"),
        (argon(process={"args": "x"}), "process.args"),
        (argon(process={"args": [1]}), "process.args[0]"),
        (argon(process={"commandLine": 1}), "process.commandLine"),
    ],
)
async def test_a_pause_container_s_process_has_its_types(
    make_shim: MakeShim, spec: Spec, named: str
) -> None:
    shim = await make_shim(task_id="c1", is_sandbox=True)
    code, text = await refused(shim, in_pod(spec, "sandbox", pod="c1"))
    assert code is INVALID
    assert text.startswith(f"config.json: {named} must be ")


@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_a_process_may_be_null(make_shim: MakeShim, is_sandbox: bool) -> None:
    shim = await make_shim(task_id="c1", is_sandbox=is_sandbox)
    spec = argon(process=None)
    await shim.create(in_pod(spec, "sandbox", pod="c1") if is_sandbox else spec)
    assert shim.engine.requests[-1].spec["process"] is None


async def test_a_missing_root_becomes_an_empty_one(shim: Shim) -> None:
    spec = argon()
    del spec["root"]
    assert (await spec_taken(shim, spec))["root"] == {}


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '"x"', "null", "[" * 100_000], ids=lambda text: text[:10]
)
async def test_a_config_that_is_no_json_object(shim: Shim, text: str) -> None:
    code, message = await refused(shim, text)
    assert code is UNKNOWN
    assert "config.json is not " in message


async def test_a_missing_config(shim: Shim) -> None:
    request = pb.CreateTaskRequest(id="c1", bundle=str(shim.folder))
    code, message = await status_of(shim.task.create(request))
    assert code is UNKNOWN
    assert message.startswith(f"open {shim.folder / 'config.json'}: ")


@pytest.mark.parametrize("bundle", ["", "relative"])
async def test_a_bundle_that_is_no_absolute_path(shim: Shim, bundle: str) -> None:
    code, message = await status_of(shim.task.create(pb.CreateTaskRequest(id="c1", bundle=bundle)))
    assert code is INVALID
    assert message.startswith("bundle ")


@pytest.mark.parametrize("task_id", ["", "..", "a/b", "a\\b", "x" * 77])
async def test_an_id_that_is_none(shim: Shim, task_id: str) -> None:
    request = pb.CreateTaskRequest(id=task_id, bundle=shim.bundle("c1", argon()))
    code, message = await status_of(shim.task.create(request))
    assert code is INVALID
    assert message.startswith("identifier ")


@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_a_terminal_has_no_standard_error(make_shim: MakeShim, is_sandbox: bool) -> None:
    shim = await make_shim(is_sandbox=is_sandbox)
    answer = await refused(shim, argon(), terminal=True, stderr="\\\\.\\pipe\\e")
    text = "if using terminal, stderr must be empty: failed precondition"
    assert answer == (PRECONDITION, text)


async def test_the_debugger_is_asked_for_first(shim: Shim) -> None:
    shim.engine.fail("debugger", FailedPreconditionError("no debugger came"))
    request = pb.CreateTaskRequest(id="c1", bundle=str(shim.folder / "nowhere"))
    code, _ = await status_of(shim.task.create(request))
    assert code is PRECONDITION
    assert shim.engine.calls == ["debugger"]
