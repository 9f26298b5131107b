"""Specs and requests that cases are made from."""

from collections.abc import Collection, Mapping
from typing import Any

from windows.compare.script import (
    POD,
    Bundle,
    Call,
    Case,
    Collect,
    Event,
    Step,
    Typed,
    start,
)

KIND = "io.kubernetes.cri.container-type"
SANDBOX = "io.kubernetes.cri.sandbox-id"
FOREVER = ("ping", "-n", "600", "127.0.0.1")
WORK = "work$T"  # the id of a pod's container
PROCESS_URL = "types.containerd.io/opencontainers/runtime-spec/1/Process"


def process(*args: str, **more: Any) -> dict[str, Any]:
    """A spec's process."""
    return {"args": list(args or FOREVER), "cwd": "C:\\", "user": {}, **more}


def spec(annotations: Any = None, **more: Any) -> dict[str, Any]:
    """A Windows container's spec that lives until it is killed; members in `more` replace."""
    whole: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process(),
        "root": {"path": ""},
        "windows": {},
        **more,
    }
    if annotations is not None:
        whole["annotations"] = annotations
    return {name: value for name, value in whole.items() if value is not ...}


def cri(kind: str, **more: Any) -> dict[str, Any]:
    """A spec as CRI makes it for a pod's `sandbox` or a `container` in it."""
    annotations = {KIND: kind, SANDBOX: POD, **more.pop("annotations", {})}
    return spec(annotations, **more)


def create(task: str = POD, bundle: str = "pod", **fields: Any) -> Call:
    """The call `Create`."""
    return Call("Create", {"id": task, "bundle": rf"$B\{bundle}", **fields})


def call(method: str, task: str = POD, **fields: Any) -> Call:
    """A call about a task."""
    return Call(method, {"id": task, **fields})


def signal(number: int, task: str = POD) -> Call:
    """The call `Kill` with a signal that the shim passes on when it has answered."""
    return Call("Kill", {"id": task, "signal": number}, causes="HcsSignalProcess")


def wait(task: str = POD, **fields: Any) -> Call:
    """The call `Wait`, whose answer `Collect` takes."""
    return Call("Wait", {"id": task, **fields}, behind=True)


def exec_process(exec_id: str, *args: str, task: str = POD, **fields: Any) -> Call:
    """The call `Exec`; `process` among the fields replaces the process made of the arguments."""
    what = fields.pop("process", None) or process(*args)
    return Call(
        "Exec", {"id": task, "exec_id": exec_id, "spec": Typed(PROCESS_URL, what), **fields}
    )


def ended(task: str = POD) -> list[Step]:
    """Kill a running task, and wait until its exit has been told."""
    return [call("Kill", task, signal=9), Event("exit", task), wait(task), Collect()]


def single(
    name: str, part: str, *steps: Step, the: dict[str, Any] | None = None, **more: Any
) -> Case:
    """A case of a task that stands alone, which starts its shim first; `the` is its spec."""
    bundles = {"pod": Bundle(spec() if the is None else the), **more.pop("bundles", {})}
    return Case(name, part, bundles, [start(), *steps], **more)


def pod(name: str, part: str, *steps: Step, **more: Any) -> Case:
    """A case of a pod, which starts its shim first; `sandbox` and `work` are the specs."""
    bundles = {
        "pod": Bundle(more.pop("sandbox", None) or cri("sandbox")),
        "work": Bundle(more.pop("work", None) or cri("container")),
        **more.pop("bundles", {}),
    }
    return Case(name, part, bundles, [start(), *steps], **more)


def many(
    name: str,
    part: str,
    the: Mapping[str, Mapping[str, Any]],
    *,
    begun: bool = False,
    short: Collection[str] = (),
    **more: Any,
) -> Case:
    """A case of a running pod in which many containers are made, one after the other.

    Args:
        name: the case's name.
        part: its part.
        the: the containers' specs by their names.
        begun: whether they are started, too.
        short: the names of those that end by themselves.
        more: further arguments of `Case`.
    """
    bundles = {"pod": Bundle(cri("sandbox"))}
    steps: list[Step] = [start(), create(), call("Start")]
    for task, document in the.items():
        annotations = {KIND: "container", SANDBOX: POD, **document.get("annotations", {})}
        bundles[task] = Bundle({**document, "annotations": annotations})
        steps.append(create(f"{task}$T", task))
        if begun:
            steps.append(call("Start", f"{task}$T"))
        if task in short:
            steps.append(Event("exit", f"{task}$T"))
    return Case(name, part, bundles | more.pop("bundles", {}), steps, **more)


def refused(name: str, part: str, the: Mapping[str, Any], **more: Any) -> Case:
    """A case of a task that stands alone, and whose creation fails for many reasons in a row.

    Args:
        name: the case's name.
        part: its part.
        the: for each bundle's name its spec, or a pair of its spec and of fields of the request.
        more: further arguments of `Case`.
    """
    bundles = {"pod": Bundle(spec())}
    steps: list[Step] = [start()]
    for bundle, what in the.items():
        document, fields = what if isinstance(what, tuple) else (what, {})
        bundles[bundle] = Bundle(document)
        steps.append(Call("Create", {"id": POD, "bundle": rf"$B\{bundle}", **fields}, also=bundle))
    return Case(name, part, bundles, [*steps, call("State")], **more)
