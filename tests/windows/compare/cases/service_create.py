"""Create: what it refuses, and with which words; options, root file systems, ids, annotations."""

import json
from typing import Any

from podshim.api.runhcs_options_pb2 import Options
from windows.compare.script import Bundle, Call, Case, Together, Typed, start
from windows.compare.specs import (
    KIND,
    SANDBOX,
    WORK,
    call,
    create,
    cri,
    pod,
    process,
    refused,
    single,
    spec,
)

_PART = "create"


def _single(name: str, the: Any = None, **fields: Any) -> Case:
    """A creation with some spec and request, and a look at what came of it."""
    steps = [start(bundle="good"), create(**fields), call("State")]
    bundles = {"good": Bundle(spec()), "pod": Bundle(spec() if the is None else the)}
    return Case(f"create_{name}", _PART, bundles, steps)


def _options(url: str = "containerd.runhcs.v1.Options", **members: Any) -> Typed:
    return Typed(url, Options(**members).SerializeToString(deterministic=True))


def _mount(*options: str, kind: str = "windows-layer", target: str = "") -> dict[str, Any]:
    return {"type": kind, "source": r"$B\pod\scratch", "target": target, "options": options}


_PARENTS = 'parentLayerPaths=["C:/compare/$T/pod/base"]'
_NO_LAYERS: dict[str, Any] = {"windows": {"layerFolders": []}}

_SIZE = "io.microsoft.container.memory.sizeinmb"
_ISOLATED = spec(windows={"hyperv": {}})
_VOLUME = r"\\?\Volume{3f2504e0-4f89-11d3-9a0c-0305e82c3301}"


def _bare(*mounts: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A spec without layers, with mounts in the request."""
    return spec(**_NO_LAYERS), {"rootfs": list(mounts)}


CASES = [
    # the request
    single("create_with_odd_bundles", _PART, Call("Create", {"id": "pod$T", "bundle": r"$B\gone"}),
           Call("Create", {"id": "pod$T", "bundle": ""}), call("State")),
    single("create_with_an_empty_id", _PART, create(""), call("State", "")),
    single("create_with_another_id", _PART, create("other$T"), call("State", "other$T"),
           call("State")),
    single("create_twice", _PART, create(), create(), call("State")),
    single("create_at_the_same_time", _PART, Together([create(), create()]), loose=True),
    _single("with_a_checkpoint", checkpoint="C:\\c", parent_checkpoint="C:\\p"),
    # options
    refused("create_with_refused_options", _PART, {
        "unknown": (spec(), {"options": Typed("example.Unknown")}),
        "broken": (spec(), {"options": Typed("containerd.runhcs.v1.Options", b"\xff\xff")}),
        "hypervisor": (spec(), {"options": _options(sandbox_isolation=Options.HYPERVISOR)}),
        "linux": (spec(), {"options": _options(sandbox_platform="linux")}),
        "no-platform": (spec(), {"options": _options(sandbox_platform="???")}),
        "other-platform": (spec(), {"options": _options(sandbox_platform="plan9/amd64")}),
        "isolated": (_ISOLATED, {"options": _options(debug=True)}),
    }),
    _single("with_options_of_another_type", options=Typed("containerd.task.v2.StateRequest")),
    _single("with_default_options", options=_options()),
    _single("with_a_platform", options=_options(sandbox_platform="windows/amd64")),
    _single("annotations_by_options", spec({}),
            options=_options(default_container_annotations={_SIZE: "333"})),
    _single("annotations_over_options", spec({_SIZE: "222"}),
            options=_options(default_container_annotations={_SIZE: "333"})),
    _single("annotations_by_options_without_any",
            options=_options(default_container_annotations={_SIZE: "333"})),
    # root file systems
    refused("create_with_refused_layers", _PART, {
        "none": spec(**_NO_LAYERS),
        "one": spec(windows={"layerFolders": ["C:\\one"]}),
        "both": (spec(), {"rootfs": [_mount(_PARENTS)]}),
        "two": _bare(_mount(_PARENTS), _mount(_PARENTS)),
        "target": _bare(_mount(_PARENTS, target=r"C:\t")),
        "type": _bare(_mount(_PARENTS, kind="overlay")),
        "no-parents": _bare(_mount()),
        "broken-parents": _bare(_mount("parentLayerPaths=words")),
        "cims": _bare(_mount(_PARENTS, "parentCimPaths=[]", kind="CimFS")),
        "block-type": _bare(_mount('parentCimPaths=["a"]', kind="BlockCIM")),
        "block-bad-type": _bare(_mount('parentCimPaths=["a"]', "blockCIMType=tape",
                                       kind="BlockCIM")),
        "block-no-parents": _bare(_mount("blockCIMType=file", kind="BlockCIM")),
        "no-volume": spec(root={"path": "C:\\rootfs"}),
        "read-only": spec(root={"path": "", "readonly": True}),
    }),
    _single("with_a_mount", spec(**_NO_LAYERS), rootfs=[_mount(_PARENTS)]),
    _single("with_a_scratch_to_be_made",
            spec(windows={"layerFolders": [r"$B\pod\base", r"$B\pod\new"]})),
    _single("with_a_volume", spec(root={"path": _VOLUME})),
    _single("with_a_volume_and_a_backslash", spec(root={"path": _VOLUME + "\\"})),
    # specs as a whole
    refused("create_with_broken_configs", _PART, {
        "gone": None,
        "no-json": "words",
        "truncated": json.dumps(spec())[:-4],
        "garbage-after": json.dumps(spec()) + "}{",
        "array": "[]",
        "empty": "",
    }),
    refused("create_with_wrong_types", _PART, {
        "hostname": spec(hostname=5),
        "process": spec(process="ping"),
        "args": spec(process=process() | {"args": "ping"}),
        "annotation": spec({"a": 5}),
        "memory": spec(windows={"resources": {"memory": {"limit": "5"}}}),
        "count": spec(windows={"resources": {"cpu": {"count": -1}}}),
        "shares": spec(windows={"resources": {"cpu": {"shares": 70000}}}),
        "layers": spec(windows={"layerFolders": "C:\\"}),
        "mounts": spec(mounts="C:\\"),
    }),
    _single("with_null_as_config", "null"),
    _single("without_windows", spec(windows=...)),
    _single("with_windows_that_is_null", spec(windows=None)),
    _single("with_nothing_at_all", {}),
    _single("without_root", spec(root=...)),
    _single("without_process", spec(process=...)),
    _single("with_a_linux_section", spec(linux={})),
    # annotations
    refused("create_with_refused_annotations", _PART, {
        "expansion": spec({"io.microsoft.disable-unsafe-operations": "true",
                           "io.microsoft.container.wcow.gmsa.disable": "false"}),
        "host-process": spec({"microsoft.com/disable-hostprocess-container": "true",
                              "microsoft.com/hostprocess-container": "true"}),
        "sandbox": cri("sandbox"),
        "container": cri("container"),
    }),
    # pods
    pod("create_pod_with_another_id", _PART, create("other$T"), create(WORK, "work"), create(),
        create(), call("Start"), create()),
    pod("create_work_refused", _PART, create(), call("Start"), create("a$T", "none"),
        create("a$T", "sandbox"), create("a$T", "other"), create("a$T", "kind"),
        create("a$T", "words"), create("pod$T", "work"), create(WORK, "work"),
        create(WORK, "work"), call("State", "a$T"), call("State", WORK),
        bundles={"none": Bundle(spec()), "sandbox": Bundle(cri("sandbox")),
                 "other": Bundle(spec({KIND: "container", SANDBOX: "other$T"})),
                 "kind": Bundle(spec({KIND: "pod", SANDBOX: "pod$T"})), "words": Bundle("words")}),
    pod("create_work_without_windows", _PART, create(), call("Start"), create(WORK, "work"),
        call("State", WORK), work=cri("container", windows=...)),
    pod("create_work_at_the_same_time", _PART, create(), call("Start"),
        Together([create(f"w{i}$T", f"w{i}") for i in range(4)]),
        Call("DiagTasks"), loose=True,
        bundles={f"w{i}": Bundle(cri("container")) for i in range(4)}),
]  # fmt: skip
