"""What becomes of failures that HCS reports, and of ends that nobody ordered."""

from typing import Any

from windows.compare.script import Case, Collect, Event, Step, Typed, start
from windows.compare.specs import WORK, call, create, ended, exec_process, pod, signal, single, wait

_PART = "failures of HCS"


def _case(
    name: str, fault: dict[str, Any] | list[dict[str, Any]], *steps: Step, **more: Any
) -> Case:
    faults = fault if isinstance(fault, list) else [fault]
    return single(f"fault_{name}", _PART, create(), *steps, faults=faults, **more)


def _fails(call: str, result: str = "0x80070005", **more: Any) -> dict[str, Any]:
    return {"call": call, "result": result, **more}


_LATER = {"stage": "completion"}
_ANSWER = (
    '{"Error":-2143878907,"ErrorMessage":"told to fail","ErrorEvents":[{"Message":"a detail",'
    '"Provider":"a provider","EventId":7}]}'
)

_MEMORY = Typed("types.containerd.io/opencontainers/runtime-spec/1/WindowsResources",
                {"memory": {"limit": 104857600}})  # fmt: skip

CASES = [
    _case("activating_a_layer", _fails("ActivateLayer"), call("State")),
    _case("preparing_a_layer", _fails("PrepareLayer"), call("State")),
    _case("preparing_a_layer_not_ready_once", _fails("PrepareLayer", "0x80070015", times=1)),
    _case("preparing_a_layer_not_ready", _fails("PrepareLayer", "0x80070015")),
    _case("mounting_a_layer", _fails("GetLayerMountPath"), call("State")),
    _case("creating", _fails("HcsCreateComputeSystem"), call("State")),
    _case("creating_later", _fails("HcsCreateComputeSystem", **_LATER), call("State")),
    _case("creating_with_details",
          _fails("HcsCreateComputeSystem", "0x80370105", answer=_ANSWER, **_LATER)),
    _case("properties", _fails("HcsGetComputeSystemProperties", times=1), call("State")),
    _case("starting", _fails("HcsStartComputeSystem"), wait(), call("Start"), Collect(),
          call("State"), call("Start"), call("Delete")),
    _case("starting_later", _fails("HcsStartComputeSystem", "0x80370105", **_LATER), wait(),
          call("Start"), Collect(), call("State")),
    _case("starting_slowly", {"call": "HcsStartComputeSystem", "delay_ms": 700}, call("Start"),
          call("State")),
    _case("first_process", _fails("HcsCreateProcess", "0x80070002"), wait(), call("Start"),
          Collect(), call("State"), call("Delete")),
    _case("first_process_later", _fails("HcsCreateProcess", "0x80070002", **_LATER), wait(),
          call("Start"), Collect(), call("State")),
    _case("exec", _fails("HcsCreateProcess", "0x80070002", skip=1), call("Start"),
          exec_process("e"), call("Start", exec_id="e"), call("State", exec_id="e"),
          call("Delete", exec_id="e"), call("State")),
    _case("exec_later", _fails("HcsCreateProcess", "0x80070002", skip=1, **_LATER), call("Start"),
          exec_process("e"), call("Start", exec_id="e"), call("State", exec_id="e")),
    _case("signal", _fails("HcsSignalProcess", "0x80070057"), call("Start"),
          signal(15), call("State")),
    _case("shutdown", _fails("HcsShutDownComputeSystem"), call("Start"), *ended(), call("Delete")),
    _case("shutdown_later", _fails("HcsShutDownComputeSystem", "0x80370105", **_LATER),
          call("Start"), *ended(), call("Delete"), slow=True),
    _case("shutdown_of_what_is_gone", _fails("HcsShutDownComputeSystem", "0x8037010E"),
          call("Start"), *ended(), call("Delete"), slow=True),
    _case("unpreparing_a_layer", _fails("UnprepareLayer"), call("Start"), *ended(),
          call("Delete")),
    _case("deactivating_a_layer", _fails("DeactivateLayer"), call("Start"), *ended(),
          call("Delete")),
    _case("pids", _fails("HcsGetComputeSystemProperties", skip=1), call("Start"), call("Pids")),
    _case("pids_of_what_is_gone", _fails("HcsGetComputeSystemProperties", "0x8037010E", skip=1),
          call("Start"), call("Pids"), call("Stats")),
    _case("stats", _fails("HcsGetComputeSystemProperties", "0x80070057", skip=1), call("Start"),
          call("Stats"), call("Pids")),
    _case("container_that_ends_by_itself",
          {"call": "HcsModifyComputeSystem", "exit_first": True}, call("Start"), wait(),
          call("Update", resources=_MEMORY), Collect(), call("State"), loose=True),
    _case("container_that_ends_before_its_start",
          {"call": "HcsStartComputeSystem", "exit_first": True}, wait(), call("Start"), Collect(),
          call("State"), call("Delete")),
    _case("service_that_goes_away",
          {"call": "HcsStartComputeSystem", "disconnect": True}, wait(), call("Start"), Collect(),
          call("State")),
    pod("fault_in_a_pod", _PART, create(), call("Start"), start(WORK, "work"),
        create(WORK, "work"), call("State", WORK), create(WORK, "work"), call("Start", WORK),
        call("State"), faults=[{**_fails("HcsCreateComputeSystem", times=1), "system": WORK}]),
    single("fault_no_events", _PART, create(), call("State"), events=False, slow=True),
    single("fault_exit_seen_once", _PART, create(), call("Start"), call("Kill", signal=9),
           Event("exit", "pod$T"), call("Delete")),
]  # fmt: skip
