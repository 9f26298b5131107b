"""Documents of process-isolated containers."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies

from hcs.golden_support import assert_golden
from podshim.engines.hcs.documents import container, devices, limits, mounts, schema1
from podshim.engines.hcs.documents.container import ContainerFacts, Layer
from podshim.engines.hcs.documents.jsontext import dumps, parse, present
from podshim.engines.hcs.documents.mounts import MappedDirectory, MappedPipe
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

ROOT = "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c0000}"
COUNT = "io.microsoft.container.processor.count"
LIMIT = "io.microsoft.container.processor.limit"
WEIGHT = "io.microsoft.container.processor.weight"
MEMORY = "io.microsoft.container.memory.sizeinmb"
DUMPS = "io.microsoft.container.processdumplocation"
REGISTRY = "io.microsoft.container.wcow.test-registry-annotation"


def facts(spec: Any = None, **members: Any) -> ContainerFacts:
    spec = {"windows": {}} if spec is None else spec
    base = ContainerFacts("c1", "shim.exe", spec, build=20348, processor_count=4, root=ROOT)
    return replace(base, **members)


def section(spec: Any = None, **members: Any) -> Any:
    return container.build(facts(spec, **members))["Container"]


FULL_SPEC: dict[str, Any] = {
    "hostname": "box",
    "annotations": {
        DUMPS: "C:\\dumps\\{container_id}",
        "io.microsoft.wcow.processdumptype": "mini",
        "io.microsoft.wcow.processdumpcount": "3",
        REGISTRY: '[{"Key":{"Hive":"Software","Name":"Test"},"Name":"n","Type":"DWord",'
        '"DWordValue":1}]',
    },
    "windows": {
        "resources": {
            "memory": {"limit": 512 * 1024 * 1024 + 5},
            "cpu": {"shares": 500, "affinity": [{"mask": 3, "group": 0}]},
            "storage": {"bps": 1000, "iops": 50},
        },
        "network": {
            "allowUnqualifiedDNSQuery": True,
            "DNSSearchList": ["a.example", "b.example"],
            "networkSharedContainerName": "other",
            "networkNamespace": "ns",
        },
        "devices": [
            {"id": "5B45201D-F2F2-4F3B-85BB-30FF1F953599", "idType": "class"},
            {"id": "guid", "idType": "vpci-class-guid"},
            {"id": "PCIROOT(0)", "idType": "vpci-location-path"},
        ],
        "ignoreFlushesDuringBoot": True,
        "credentialSpec": '{"CmsPlugins":[]}',
    },
}
FULL: dict[str, Any] = {
    "layers": (Layer("top", "C:\\layers\\top"), Layer("base", "C:\\layers\\base")),
    "namespace": "ns",
    "directories": (
        MappedDirectory("\\\\?\\Volume{a}\\data", "C:\\data", read_only=True),
        MappedDirectory("\\\\?\\Volume{a}\\more", "C:\\more"),
    ),
    "pipes": (MappedPipe("inner", "\\\\.\\pipe\\outer"),),
    "credential_guard": {"Cookie": "c", "RpcEndpoint": "e", "Transport": "LRPC"},
    "device_extensions": (
        ("C:\\ext.json", {"namespace": {"ob": {"shadow": "true", "symlink": [{"name": "n"}]}}}),
    ),
}


def test_every_member() -> None:
    assert_golden(container.build(facts(FULL_SPEC, **FULL)), "container-full")


def test_members_that_are_always_there() -> None:
    assert_golden(container.build(facts()), "container-empty")


def test_every_member_of_the_first_schema() -> None:
    spec = FULL_SPEC | {"windows": FULL_SPEC["windows"] | {"network": {"endpointList": ["e1"]}}}
    assert_golden(schema1.build(facts(spec, **FULL, build=16299)), "schema1-full")


def test_members_of_the_first_schema_that_are_always_there() -> None:
    assert_golden(schema1.build(facts(build=14393)), "schema1-empty")


def test_pipes_of_the_first_schema_want_1709() -> None:
    with pytest.raises(ShimError) as caught:
        schema1.build(facts(build=14393, pipes=FULL["pipes"]))
    assert str(caught.value) == "named pipe mounts are not supported on this version of Windows"


@pytest.mark.parametrize("end", ["", "\\"])
def test_the_root_volume_ends_in_a_backslash(end: str) -> None:
    assert section(root=ROOT + end)["Storage"]["Path"] == ROOT + "\\"
    assert schema1.build(facts(root=ROOT + end))["VolumePath"] == ROOT


@pytest.mark.parametrize(
    "root",
    ["", "C:\\", ROOT + "\\x", ROOT + "\\\\", ROOT.replace("?", "."), ROOT[:-1], ROOT + "\n"],
)
def test_other_roots_are_refused(root: str) -> None:
    for build in (container.build, schema1.build):
        with pytest.raises(ShimError) as caught:
            build(facts(root=root))
        assert str(caught.value) == (
            f"invalid container spec - Root.Path '{root}' must be a volume GUID path in the format"
            " '\\\\?\\Volume{GUID}\\'"
        )


def test_a_read_only_root_is_refused() -> None:
    with pytest.raises(ShimError) as caught:
        section({"windows": {}, "root": {"readonly": True}})
    assert str(caught.value) == (
        "invalid container spec - readonly is not supported for Windows containers"
    )
    assert section({"windows": {}, "root": {"readonly": False}})


def resources(**members: Any) -> dict[str, Any]:
    return {"windows": {"resources": members}}


def test_processor_limits() -> None:
    assert section()["Processor"] == {}
    assert section(resources(cpu={"count": 3}))["Processor"] == {"Count": 3}
    assert section(resources(cpu={"maximum": 20000}))["Processor"] == {"Maximum": 20000}
    assert section(resources(cpu={"shares": 7, "count": 0}))["Processor"] == {"Weight": 7}


def test_a_count_is_reduced_to_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    assert section(resources(cpu={"count": 1 << 63}))["Processor"] == {"Count": 4}
    assert "container c1" in caplog.text


@pytest.mark.parametrize(
    ("cpu", "annotations", "shown"),
    [
        ({"count": 1, "maximum": 2}, {}, ("1", "2", "0")),
        ({"count": 1, "shares": 2}, {}, ("1", "0", "2")),
        ({"maximum": 1}, {WEIGHT: "9"}, ("0", "1", "9")),
        ({"count": 1}, {COUNT: "2", LIMIT: "3", WEIGHT: "4"}, ("2", "3", "4")),
    ],
)
def test_one_processor_limit_excludes_the_others(
    cpu: Any, annotations: dict[str, str], shown: tuple[str, str, str]
) -> None:
    with pytest.raises(ShimError) as caught:
        section({**resources(cpu=cpu), "annotations": annotations})
    assert str(caught.value) == (
        "invalid spec - Windows Container CPU Count: '{}', Limit: '{}', and Weight: '{}' are"
        " mutually exclusive".format(*shown)
    )


def test_annotations_override_limits_unless_they_are_0() -> None:
    spec = resources(cpu={"maximum": 10}, memory={"limit": 5 << 20}, storage={"bps": 1, "iops": 2})
    override = {
        LIMIT: "20",
        MEMORY: "30",
        "io.microsoft.container.storage.qos.bandwidthmaximum": "40",
        "io.microsoft.container.storage.qos.iopsmaximum": "50",
    }
    found = section({**spec, "annotations": override})
    assert found["Processor"] == {"Maximum": 20}
    assert found["Memory"] == {"SizeInMB": 30}
    assert found["Storage"]["QoS"] == {"IopsMaximum": 50, "BandwidthMaximum": 40}
    found = section({**spec, "annotations": dict.fromkeys(override, "0")})
    assert found["Processor"] == {"Maximum": 10}
    assert found["Memory"] == {"SizeInMB": 5}
    assert found["Storage"]["QoS"] == {"IopsMaximum": 2, "BandwidthMaximum": 1}


def test_memory_is_whole_megabytes() -> None:
    assert "Memory" not in section(resources(memory={"limit": (1 << 20) - 1}))
    assert section(resources(memory={"limit": (2 << 20) - 1}))["Memory"] == {"SizeInMB": 1}
    most = (1 << 64) - 1
    assert section(resources(memory={"limit": most}))["Memory"] == {"SizeInMB": most >> 20}
    annotated_memory = facts({"windows": {}, "annotations": {MEMORY: str(most)}})
    assert schema1.build(annotated_memory)["MemoryMaximumInMB"] == (1 << 63) - 1
    assert container.build(annotated_memory)["Container"]["Memory"] == {"SizeInMB": most}  # type: ignore[index]


def test_storage_limits_do_not_overflow() -> None:
    found = section(resources(storage={"bps": 1 << 40}))
    assert found["Storage"]["QoS"] == {"BandwidthMaximum": (1 << 31) - 1}
    assert "QoS" not in section(resources(storage={"bps": 0, "iops": 0}))["Storage"]


def test_a_maximum_of_the_host_is_scaled_to_a_vm() -> None:
    spec = resources(cpu={"maximum": 1000})
    scaled = {"processor_count": 2, "host_processor_count": 8, "scale_cpu_limits": True}
    assert section(spec, **scaled)["Processor"] == {"Maximum": 4000}
    assert section(resources(cpu={"maximum": 9999}), **scaled)["Processor"] == {"Maximum": 10000}
    assert section(resources(cpu={"count": 1}), **scaled)["Processor"] == {"Count": 1}
    assert limits.scaled_maximum(1, 1, 64) == 1


def cpu(*entries: Any) -> Member:
    return Member({"affinity": list(entries)})


def test_affinity() -> None:
    assert limits.affinity_of(Member({}), 17763) == ()
    assert limits.affinity_of(cpu({"mask": 5}), 17763) == (limits.Affinity(5, 0),)
    several = cpu({"mask": 1, "group": 1}, {"mask": 1 << 63})
    assert limits.affinity_of(several, 20348) == (
        limits.Affinity(1, 1),
        limits.Affinity(1 << 63, 0),
    )
    for refused in (several, cpu({"mask": 1, "group": 1})):
        with pytest.raises(ShimError, match=r"not supported on this build \(19041\)"):
            limits.affinity_of(refused, 19041)
    for wrong in ({}, {"mask": 0}, None, {"mask": 1, "group": 65536}, {"mask": -1}):
        with pytest.raises(InvalidArgumentError):
            limits.affinity_of(cpu(wrong), 20348)


def test_networking_is_there_if_the_spec_has_a_network() -> None:
    assert "Networking" not in section()
    assert section({"windows": {"network": {}}})["Networking"] == {}
    assert section({"windows": {"network": {}}}, namespace="n")["Networking"] == {"Namespace": "n"}


def values(spec: Any, **members: Any) -> Any:
    return section(spec, **members)["RegistryChanges"]["AddValues"][1:]


def dumped(**annotations: str) -> Any:
    keys = {
        "type": "io.microsoft.wcow.processdumptype",
        "count": "io.microsoft.wcow.processdumpcount",
    }
    named = {keys[key]: value for key, value in annotations.items()}
    return values({"windows": {}, "annotations": {DUMPS: "C:\\d", **named}})


def test_dump_settings() -> None:
    assert [value.get("DWordValue") for value in dumped()] == [None, 2, 10]
    assert [value.get("DWordValue") for value in dumped(type="full", count="1")] == [None, 2, 1]
    assert dumped()[0]["StringValue"] == "C:\\d"
    found = values({"windows": {}}, vm_dump_location="C:\\vm\\{CONTAINER_ID}")
    assert found[0]["StringValue"] == "C:\\vm\\c1"
    assert values({"windows": {}, "annotations": {DUMPS: ""}}, vm_dump_location="C:\\vm") == []
    assert dumped(count="0" * 20 + "3")[2]["DWordValue"] == 3
    with pytest.raises(ShimError) as caught:
        dumped(type="medium")
    assert str(caught.value) == 'unknown dump type specified, valid values are "mini" or "full"'
    for count in ("0", "-1", "x", "1.5", str(1 << 31), "9" * 5000):
        with pytest.raises(ShimError, match="invalid dump count specified: " + count):
            dumped(count=count)


def entry(**members: Any) -> dict[str, Any]:
    base = {
        "Key": {"Hive": "Software", "Name": "K"},
        "Name": "n",
        "Type": "String",
        "StringValue": "v",
    }
    return base | members


def annotated(*entries: Any) -> Any:
    return values({"windows": {}, "annotations": {REGISTRY: dumps(list(entries))}})


def key(hive: str, name: str = "K") -> dict[str, str]:
    return {"Hive": hive, "Name": name}


@pytest.mark.parametrize(
    "value",
    [
        entry(),
        entry(Key=key("System", "CurrentControlSet\\Services\\x")),
        entry(Key=key("System", "CURRENTCONTROLSET\\policies")),
        entry(Key=key("System", "software\\x")),
        entry(Key={"Hive": "Software", "Name": "K", "Volatile": True}),
        {"Key": key("Software"), "Name": "n", "Type": "QWord", "QWordValue": -(1 << 63)},
    ],
)
def test_registry_values_that_are_allowed(value: Any) -> None:
    assert annotated(value) == [value]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        entry(Key=None),
        entry(Key=key("software")),
        entry(Key=key("Sam")),
        entry(Key=key("Security")),
        entry(Key=key("Other")),
        entry(Key=key("System", "CurrentControlSet\\Control")),
        entry(Key=key("System", "ControlSet001\\Services")),
        entry(Key=key("Software", "")),
        entry(Name=""),
        entry(Type=""),
        entry(Type="string"),
        entry(DWordValue=1),
    ],
)
def test_registry_values_that_are_left_out(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert annotated(value, entry()) == [entry()]
    assert "a registry value is left out" in caplog.text


@pytest.mark.parametrize("text", ["{", "5", "{}", "[5]", '[{"Name": 5}]', "[" * 100_000])
def test_a_broken_registry_annotation_counts_as_absent(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert values({"windows": {}, "annotations": {REGISTRY: text}}) == []
    assert "could not be parsed" in caplog.text


def test_unknown_kinds_of_devices_are_refused() -> None:
    with pytest.raises(ShimError) as caught:
        section({"windows": {"devices": [{"id": "x", "idType": "uuid"}]}})
    assert str(caught.value) == "specified device x has unsupported type uuid"


def test_device_extensions_are_taken_member_by_member() -> None:
    document = {
        "device_category": {
            "name": "c",
            "interface_class": [{"type": "t", "identifier": "i", "recurse": True}],
        },
        "namespace": {
            "ob": {"objdir": [{"name": "o", "objdir": [{"name": "p", "shadow": "true"}]}]},
            "device": {
                "requires_driverstore": True,
                "device_instance": [{"id": "d", "interface_class": [{"type": "t"}]}],
            },
        },
    }
    found = devices.device_extensions([("a", {**document, "unknown": 1}), ("b", {})], 20348)
    assert found == {"device_extension": [document, {}]}
    assert devices.device_extensions([], 17763) is None
    with pytest.raises(ShimError) as caught:
        devices.device_extensions([("a", document)], 19041)
    assert str(caught.value) == "device extensions are not supported on this build (19041)"
    mask = {"namespace": {"ob": {"symlink": [{"access_mask": -5}]}}}
    assert devices.device_extensions([("a", mask)], 20348) == {"device_extension": [mask]}
    wrong: list[Any] = [5, None, [], {"namespace": 5}, {"namespace": {"ob": {"shadow": True}}}]
    wrong.append({"namespace": {"ob": {"symlink": [{"access_mask": 1 << 31}]}}})
    for value in wrong:
        with pytest.raises(InvalidArgumentError, match=r"ext\.json"):
            devices.device_extensions([("ext.json", value)], 20348)


def mounted(*entries: Any) -> list[mounts.SpecMount]:
    return mounts.mounts_of(Member({"mounts": list(entries)}))


def test_mounts_are_folders_or_pipes() -> None:
    found = mounted(
        {"source": "C:\\a", "destination": "C:\\b", "options": ["rw", "RO"]},
        {"source": "C:\\c", "destination": "C:\\d", "type": "anything"},
        {"source": "\\\\.\\pipe\\host", "destination": "\\\\.\\pipe\\inner"},
        {"source": "uvm://\\\\.\\pipe\\vm", "destination": "\\\\.\\pipe\\inner2"},
        {"source": "\\\\.\\pipe\\host", "destination": "C:\\pipe"},
    )
    assert [(mount.source, mount.read_only) for mount in mounts.folders(found)] == [
        ("C:\\a", True),
        ("C:\\c", False),
    ]
    # A pipe that is to appear as a file is left out, and one of a VM that there is not.
    assert mounts.mapped_pipes(found) == [MappedPipe("inner", "\\\\.\\pipe\\host")]


@pytest.mark.parametrize("missing", ["source", "destination"])
def test_mounts_without_an_end_are_refused(missing: str) -> None:
    mount = {"source": "S", "destination": "D", "options": ["ro", "x"]}
    del mount[missing]
    with pytest.raises(ShimError) as caught:
        mounted(mount)
    assert str(caught.value) == (
        "invalid OCI spec - a mount must have both source and a destination:"
        f" {{Destination:{mount.get('destination', '')} Type: Source:{mount.get('source', '')}"
        " Options:[ro x] UIDMappings:[] GIDMappings:[]}"
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"hostname": 5},
        {"windows": {"resources": 1}},
        {"windows": {"resources": {"cpu": []}}},
        {"windows": {"resources": {"cpu": {"count": "2"}}}},
        {"windows": {"resources": {"cpu": {"maximum": 65536}}}},
        {"windows": {"resources": {"memory": {"limit": -1}}}},
        {"windows": {"resources": {"memory": {"limit": 1.5}}}},
        {"windows": {"resources": {"storage": {"iops": True}}}},
        {"windows": {"network": "x"}},
        {"windows": {"network": {"DNSSearchList": "a"}}},
        {"windows": {"network": {"allowUnqualifiedDNSQuery": "yes"}}},
        {"windows": {"devices": {}}},
        {"windows": {"devices": [{"id": 1, "idType": "class"}]}},
        {"windows": {"devices": [5]}},
        {"annotations": {"a": 1}},
        {"root": {"readonly": "x"}},
        {"root": []},
    ],
)
def test_wrong_types_are_refused_by_their_path(spec: Any) -> None:
    for build in (container.build, schema1.build):
        if build is schema1.build and "devices" in spec.get("windows", {}):
            continue  # the first schema has none
        with pytest.raises(InvalidArgumentError, match=r"config\.json: \S+ must be "):
            build(facts({"windows": {}, **spec}))


json_values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(1 << 65), 1 << 65)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(
                ["cpu", "count", "memory", "limit", "resources", "network", "id", "idType"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    strategies.dictionaries(
        strategies.sampled_from(["hostname", "windows", "annotations", "root"]), json_values
    )
)
def test_no_spec_breaks_the_builder(spec: Any) -> None:
    try:
        document = container.build(facts(spec))
    except ShimError:
        return
    assert parse(dumps(document), "document") == document


def test_texts() -> None:
    assert dumps({"a": ["ü", 1, None, True]}) == '{"a":["ü",1,null,true]}'
    assert dumps("\ud800") == '"\ufffd"'
    assert dumps("\x00\n") == '"\\u0000\\n"'
    assert present({"a": 0, "b": "", "c": [], "d": {}, "e": False, "f": None, "g": 1}) == {
        "d": {},
        "g": 1,
    }
    for wrong in ("", "5", "[]", "{", "[" * 100_000):
        with pytest.raises(ShimError, match=r"^the answer is no JSON"):
            parse(wrong, "the answer")
