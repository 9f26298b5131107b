"""Create: what it refuses, and with which words; options, root file systems, ids, annotations."""

import json
from typing import Any

from podshim.api.runhcs_options_pb2 import Options
from podshim.api.types_pb2 import Mount
from windows.compare.script import Bundle, Call, Case, Step, Together, Typed, start
from windows.compare.specs import KIND, SANDBOX, WORK, call, create, cri, pod, process, single, spec

_PART = "create"


def _single(name: str, the: Any = None, **fields: Any) -> Case:
    """A creation with some spec and request, and a look at what came of it."""
    return single(f"create_{name}", _PART, create(**fields), call("State"), the=the)


def _options(url: str = "containerd.runhcs.v1.Options", **members: Any) -> Typed:
    return Typed(url, Options(**members).SerializeToString(deterministic=True))


def _mount(kind: str = "windows-layer", *options: str, **members: Any) -> list[Mount]:
    return [Mount(type=kind, options=options, **members)]


def _raw(name: str, config: Any) -> Case:
    """A config.json that is broken only when the task is created."""
    steps = [start(bundle="good"), create(), call("State")]
    bundles = {"good": Bundle(spec()), "pod": Bundle(config)}
    return Case(f"create_{name}", _PART, bundles, steps)


def _work(name: str, work: Any, *steps: Step, **more: Any) -> Case:
    """The creation of a container in a running pod; `start` has read a good spec of it."""
    return pod(f"create_work_{name}", _PART, create(), call("Start"), create(WORK, "work"),
               call("State", WORK), *steps, work=work, **more)  # fmt: skip


_PARENTS = f"parentLayerPaths={json.dumps(['base'])}"
_NO_LAYERS: dict[str, Any] = {"windows": {"layerFolders": []}}

CASES = [
    # the request
    _single("with_an_empty_bundle", bundle=""),
    single("create_with_a_bundle_that_is_gone", _PART,
           Call("Create", {"id": "pod$T", "bundle": r"$B\gone"})),
    single("create_with_an_empty_id", _PART, create(""), call("State", "")),
    single("create_with_another_id", _PART, create("other$T"), call("State", "other$T"),
           call("State")),
    single("create_twice", _PART, create(), create(), call("State")),
    single("create_at_the_same_time", _PART, Together([create(), create()]), loose=True),
    _single("with_a_checkpoint", checkpoint="C:\\c", parent_checkpoint="C:\\p"),
    # options
    _single("with_default_options", options=_options()),
    _single("with_options", options=_options(debug=True)),
    _single("with_options_of_an_unknown_type", options=Typed("example.Unknown")),
    _single("with_options_of_another_type", options=Typed("containerd.task.v2.StateRequest")),
    _single("with_broken_options", options=Typed("containerd.runhcs.v1.Options", b"\xff\xff")),
    _single("with_hypervisor_isolation_as_an_option",
            options=_options(sandbox_isolation=Options.HYPERVISOR)),
    _single("with_a_platform", options=_options(sandbox_platform="windows/amd64")),
    _single("with_the_other_platform", options=_options(sandbox_platform="linux")),
    _single("with_no_platform", options=_options(sandbox_platform="???")),
    _single("with_an_unknown_platform", options=_options(sandbox_platform="plan9/amd64")),
    _single("isolated_with_process_options", spec(windows={"hyperv": {}}),
            options=_options(debug=True)),
    _single("annotations_by_options", spec({}), options=_options(
            default_container_annotations={"io.microsoft.container.memory.sizeinmb": "333"})),
    _single("annotations_over_options", spec({"io.microsoft.container.memory.sizeinmb": "222"}),
            options=_options(default_container_annotations={
                "io.microsoft.container.memory.sizeinmb": "333"})),
    _single("annotations_by_options_without_any", options=_options(
            default_container_annotations={"io.microsoft.container.memory.sizeinmb": "333"})),
    # root file systems
    _single("without_layers", spec(**_NO_LAYERS)),
    _single("with_one_layer", spec(windows={"layerFolders": ["C:\\one"]})),
    _single("with_a_mount", spec(**_NO_LAYERS),
            rootfs=_mount("windows-layer", _PARENTS, source=r"C:\scratch")),
    _single("with_a_mount_and_layers", rootfs=_mount("windows-layer", _PARENTS, source=r"C:\s")),
    _single("with_two_mounts", spec(**_NO_LAYERS), rootfs=_mount() + _mount()),
    _single("with_a_mounts_target", spec(**_NO_LAYERS),
            rootfs=_mount("windows-layer", _PARENTS, source=r"C:\s", target=r"C:\t")),
    _single("with_a_mount_of_another_type", spec(**_NO_LAYERS),
            rootfs=_mount("overlay", _PARENTS, source=r"C:\s")),
    _single("with_a_mount_without_parents", spec(**_NO_LAYERS),
            rootfs=_mount("windows-layer", source=r"C:\s")),
    _single("with_a_mount_with_broken_parents", spec(**_NO_LAYERS),
            rootfs=_mount("windows-layer", "parentLayerPaths=words", source=r"C:\s")),
    _single("with_cims_that_do_not_match", spec(**_NO_LAYERS), rootfs=_mount("CimFS", _PARENTS,
            "parentCimPaths=[]", source=r"C:\s")),
    _single("with_block_cims_of_no_type", spec(**_NO_LAYERS), rootfs=_mount("BlockCIM",
            'parentCimPaths=["a"]', source=r"C:\s")),
    _single("with_block_cims_of_a_bad_type", spec(**_NO_LAYERS), rootfs=_mount("BlockCIM",
            'parentCimPaths=["a"]', "blockCIMType=tape", source=r"C:\s")),
    _single("with_block_cims_without_parents", spec(**_NO_LAYERS),
            rootfs=_mount("BlockCIM", "blockCIMType=file", source=r"C:\s")),
    _single("with_a_scratch_to_be_made", spec(windows={"layerFolders": [r"$B\pod\base",
            r"$B\pod\new"]})),
    _single("with_a_volume",
            spec(root={"path": r"\\?\Volume{3f2504e0-4f89-11d3-9a0c-0305e82c3301}"})),
    _single("with_a_volume_and_a_backslash",
            spec(root={"path": "\\\\?\\Volume{3f2504e0-4f89-11d3-9a0c-0305e82c3301}\\"})),
    _single("with_a_root_that_is_no_volume", spec(root={"path": "C:\\rootfs"})),
    _single("with_a_read_only_root", spec(root={"path": "", "readonly": True})),
    # specs as a whole
    _raw("without_config", None),
    _raw("with_no_json", "words"),
    _raw("with_a_truncated_config", json.dumps(spec())[:-4]),
    _raw("with_garbage_after_the_config", json.dumps(spec()) + "}{"),
    _raw("with_null_as_config", "null"),
    _raw("with_an_array_as_config", "[]"),
    _raw("with_a_number_as_hostname", spec(hostname=5)),
    _raw("with_a_text_as_process", spec(process="ping")),
    _raw("with_a_text_as_args", spec(process=process() | {"args": "ping"})),
    _raw("with_a_number_as_annotation", spec({"a": 5})),
    _raw("with_a_text_as_memory", spec(windows={"resources": {"memory": {"limit": "5"}}})),
    _raw("with_a_negative_count", spec(windows={"resources": {"cpu": {"count": -1}}})),
    _raw("with_too_many_shares", spec(windows={"resources": {"cpu": {"shares": 70000}}})),
    _raw("with_a_text_as_layers", spec(windows={"layerFolders": "C:\\"})),
    _raw("with_a_text_as_mounts", spec(mounts="C:\\")),
    _raw("with_an_unknown_member", {**spec(), "unheard": {"of": 1}}),
    _single("without_windows", spec(windows=...)),
    _single("with_windows_that_is_null", spec(windows=None)),
    _single("without_root", spec(root=...)),
    _single("without_process", spec(process=...)),
    _single("with_a_linux_section", spec(linux={})),
    _single("with_nothing_at_all", {}),
    # annotations
    _single("with_conflicting_expansion", spec({"io.microsoft.disable-unsafe-operations": "true",
            "io.microsoft.container.wcow.gmsa.disable": "false"})),
    _single("of_a_disabled_host_process", spec({
            "microsoft.com/disable-hostprocess-container": "true",
            "microsoft.com/hostprocess-container": "true"})),
    _raw("of_a_sandbox_alone", cri("sandbox")),
    _raw("of_a_container_alone", cri("container")),
    # pods
    pod("create_pod_with_another_id", _PART, create("other$T")),
    pod("create_pod_twice", _PART, create(), create(), call("Start"), create()),
    pod("create_pod_by_a_container", _PART, create(WORK, "work")),
    _work("with_no_annotations", spec()),
    _work("as_a_sandbox", spec({KIND: "sandbox", SANDBOX: "pod$T"})),
    _work("of_another_pod", spec({KIND: "container", SANDBOX: "other$T"})),
    _work("of_another_kind", spec({KIND: "pod", SANDBOX: "pod$T"})),
    _work("twice", cri("container"), create(WORK, "work")),
    _work("with_the_pods_id", cri("container"), create("pod$T", "work")),
    _work("without_windows", cri("container", windows=...)),
    _work("after_a_failure", cri("container"), create("a$T", "bad"), create("b$T", "two"),
          bundles={"bad": Bundle("words"), "two": Bundle(cri("container"))}),
    pod("create_work_at_the_same_time", _PART, create(), call("Start"),
        Together([create(f"w{i}$T", f"w{i}") for i in range(4)]),
        Call("DiagTasks"), loose=True,
        bundles={f"w{i}": Bundle(cri("container")) for i in range(4)}),
]  # fmt: skip
