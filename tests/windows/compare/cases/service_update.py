"""Updates of running containers: every type of resources, good and bad."""

from typing import Any

from windows.compare.script import Case, Step, Typed, start
from windows.compare.specs import WORK, call, create, ended, pod, single

_PART = "updates"
_TYPES = "types.containerd.io/opencontainers/runtime-spec/1/"
_CTRD = "github.com/Microsoft/hcsshim/pkg/ctrdtaskapi/"


def _windows(value: Any, task: str = "pod$T", **more: Any) -> Step:
    return call("Update", task, resources=Typed(_TYPES + "WindowsResources", value), **more)


def _mount(value: Any, task: str = "pod$T") -> Step:
    return call("Update", task, resources=Typed(_CTRD + "ContainerMount", value))


def _case(name: str, *steps: Step, **more: Any) -> Case:
    return single(f"update_{name}", _PART, create(), call("Start"), *steps, **more)


CASES = [
    _case("without_resources", call("Update"), call("Update", annotations={"a": "b"})),
    _case("of_nothing", _windows({})),
    _case("memory", _windows({"memory": {"limit": 512 * 1024 * 1024}})),
    _case("odd_memory", _windows({"memory": {"limit": 257 * 1024 * 1024 + 5}})),
    _case("little_memory", _windows({"memory": {"limit": 1000}})),
    _case("no_memory_limit", _windows({"memory": {}}), _windows({"memory": {"limit": 0}})),
    _case("cpu_count", _windows({"cpu": {"count": 1}})),
    _case("cpu_count_beyond_the_host", _windows({"cpu": {"count": 500}})),
    _case("cpu_maximum", _windows({"cpu": {"maximum": 5000}})),
    _case("cpu_shares", _windows({"cpu": {"shares": 300}})),
    _case("cpu_of_two_kinds", _windows({"cpu": {"count": 1, "shares": 300}})),
    _case("no_cpu", _windows({"cpu": {}})),
    _case("memory_and_cpu",
          _windows({"memory": {"limit": 104857600}, "cpu": {"maximum": 100}})),
    _case("storage", _windows({"storage": {"iops": 5}})),
    _case("by_numbers_in_texts", _windows({"memory": {"limit": "5"}})),
    _case("by_negative_numbers", _windows({"memory": {"limit": -5}})),
    _case("by_no_json", _windows("words")),
    _case("by_nothing", _windows(b"")),
    _case("by_null", _windows("null")),
    _case("with_linux_resources",
          call("Update", resources=Typed(_TYPES + "LinuxResources", {"memory": {"limit": 5}}))),
    _case("with_an_unknown_type", call("Update", resources=Typed("example.Unknown", {}))),
    _case("with_a_message", call("Update", resources=Typed("containerd.task.v2.StateRequest"))),
    _case("with_a_process",
          call("Update", resources=Typed(_TYPES + "Process", {"args": ["a"]}))),
    _case("with_a_policy_fragment",
          call("Update", resources=Typed(_CTRD + "PolicyFragment", {"fragment": "x"}))),
    _case("a_mount", _mount({"HostPath": "$B\\pod\\base", "ContainerPath": "C:\\m",
                             "ReadOnly": True})),
    _case("a_writable_mount", _mount({"HostPath": "$B\\pod\\base", "ContainerPath": "C:\\m"})),
    _case("a_mount_of_nothing", _mount({"HostPath": "$B\\gone", "ContainerPath": "C:\\m"})),
    _case("a_mount_without_paths", _mount({}), _mount({"HostPath": "$B\\pod\\base"}),
          _mount({"ContainerPath": "C:\\m"})),
    _case("a_mount_of_a_type",
          _mount({"HostPath": "$B\\pod", "ContainerPath": "C:\\m", "Type": "physical-disk"})),
    _case("a_mount_of_a_pipe",
          _mount({"HostPath": "\\\\.\\pipe\\x", "ContainerPath": "\\\\.\\pipe\\y"})),
    _case("a_mount_of_a_sandbox_path",
          _mount({"HostPath": "sandbox:///a", "ContainerPath": "C:\\m"})),
    _case("an_ended_task", *ended(), _windows({"memory": {"limit": 104857600}})),
    _case("that_hcs_refuses", _windows({"memory": {"limit": 104857600}}),
          faults=[{"call": "HcsModifyComputeSystem", "result": "0x80070057"}]),
    _case("with_a_cpu_group",
          _windows({}, annotations={"io.microsoft.virtualmachine.cpugroup.id": "x"})),
    single("update_a_created_task", _PART, create(), _windows({"memory": {"limit": 104857600}})),
    pod("update_a_pods_container", _PART, create(), call("Start"), start(WORK, "work"),
        create(WORK, "work"), call("Start", WORK), _windows({"cpu": {"shares": 300}}, WORK),
        _windows({"cpu": {"shares": 301}})),
]  # fmt: skip
