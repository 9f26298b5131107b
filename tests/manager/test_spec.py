"""The specs that the manager makes."""

from podshim.manager.spec import NAMESPACES, container_spec, pod_annotations, process_spec


def test_a_process() -> None:
    process = process_spec(["a", "b"], env=["X=1"], cwd="/tmp", terminal=True, user=(7, 8))
    assert process["args"] == ["a", "b"]
    assert process["env"][1:] == ["TERM=xterm", "X=1"]
    assert process["user"] == {"uid": 7, "gid": 8}
    assert (process["cwd"], process["terminal"]) == ("/tmp", True)


def test_a_container() -> None:
    memory = {"memory": {"limit": 1 << 20}}
    spec = container_spec(
        process_spec(["a"]),
        root="/r",
        readonly=True,
        hostname="h",
        annotations=pod_annotations("p"),
        cgroup="/g",
        resources=memory,
    )
    assert spec["root"] == {"path": "/r", "readonly": True}
    assert spec["hostname"] == "h"
    assert spec["annotations"] == {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-id": "p",
    }
    assert spec["linux"]["cgroupsPath"] == "/g"
    assert spec["linux"]["resources"]["memory"] == {"limit": 1 << 20}
    assert [entry["type"] for entry in spec["linux"]["namespaces"]] == list(NAMESPACES)


def test_a_container_in_the_hosts_uts_namespace_has_no_hostname() -> None:
    spec = container_spec(process_spec(["a"]), hostname="h", namespaces=["pid", "mount"])
    assert "hostname" not in spec
    assert "cgroupsPath" not in spec["linux"]


def test_nothing_is_shared_between_specs() -> None:
    one, other = (container_spec(process_spec(["a"])) for _ in range(2))
    one["mounts"][0]["options"].append("x")
    one["process"]["capabilities"]["bounding"].clear()
    assert other == container_spec(process_spec(["a"]))


def test_a_sandbox_is_told_from_its_containers() -> None:
    kind = "io.kubernetes.cri.container-type"
    assert pod_annotations("p", sandbox=True)[kind] == "sandbox"
