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
    _case("without_resources", call("Update"), call("Update", annotations={"a": "b"}),
          _windows({}), _windows({}, annotations={"io.microsoft.virtualmachine.cpugroup.id": "x"})),
    _case("memory", _windows({"memory": {"limit": 512 * 1024 * 1024}}),
          _windows({"memory": {"limit": 257 * 1024 * 1024 + 5}}),
          _windows({"memory": {"limit": 1000}}), _windows({"memory": {"limit": 0}}),
          _windows({"memory": {}})),
    _case("processors", _windows({"cpu": {"count": 1}}), _windows({"cpu": {"count": 500}}),
          _windows({"cpu": {"maximum": 5000}}), _windows({"cpu": {"shares": 300}}),
          _windows({"cpu": {"count": 1, "shares": 300}}), _windows({"cpu": {}}),
          _windows({"memory": {"limit": 104857600}, "cpu": {"maximum": 100}}),
          _windows({"storage": {"iops": 5}})),
    _case("by_what_is_broken", _windows({"memory": {"limit": "5"}}),
          _windows({"memory": {"limit": -5}}), _windows("words"), _windows(b""),
          call("State")),
    _case("by_null", _windows("null")),
    _case("of_other_types",
          call("Update", resources=Typed(_TYPES + "LinuxResources", {"memory": {"limit": 5}})),
          call("Update", resources=Typed("example.Unknown", {})),
          call("Update", resources=Typed("containerd.task.v2.StateRequest")),
          call("Update", resources=Typed(_TYPES + "Process", {"args": ["a"]})),
          call("Update", resources=Typed(_CTRD + "PolicyFragment", {"fragment": "x"}))),
    _case("mounts", _mount({"HostPath": "$B\\pod\\base", "ContainerPath": "C:\\m",
                            "ReadOnly": True}),
          _mount({"HostPath": "$B\\pod\\base", "ContainerPath": "C:\\n"}),
          _mount({"HostPath": "$B\\gone", "ContainerPath": "C:\\m"}), _mount({}),
          _mount({"HostPath": "$B\\pod\\base"}), _mount({"ContainerPath": "C:\\m"}),
          _mount({"HostPath": "$B\\pod", "ContainerPath": "C:\\m", "Type": "physical-disk"}),
          _mount({"HostPath": "\\\\.\\pipe\\x", "ContainerPath": "\\\\.\\pipe\\y"}),
          _mount({"HostPath": "sandbox:///a", "ContainerPath": "C:\\m"})),
    _case("an_ended_task", *ended(), _windows({"memory": {"limit": 104857600}})),
    _case("that_hcs_refuses", _windows({"memory": {"limit": 104857600}}),
          faults=[{"call": "HcsModifyComputeSystem", "result": "0x80070057"}]),
    single("update_a_created_task", _PART, create(), _windows({"memory": {"limit": 104857600}})),
    pod("update_a_pods_container", _PART, create(), call("Start"), start(WORK, "work"),
        create(WORK, "work"), call("Start", WORK), _windows({"cpu": {"shares": 300}}, WORK),
        _windows({"cpu": {"shares": 301}})),
]  # fmt: skip
