"""What a spec asks for: platform, isolation, place in a pod."""

from typing import Any

import pytest

from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.predicates import (
    ContainerType,
    container_type_and_sandbox,
    inherited,
    is_host_process,
    is_isolated,
    is_lcow,
    is_wcow,
    with_lasting_pause,
)

TYPE = "io.kubernetes.cri.container-type"
ID = "io.kubernetes.cri.sandbox-id"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (None, (ContainerType.NONE, "")),
        ({}, (ContainerType.NONE, "")),
        ({ID: ""}, (ContainerType.NONE, "")),
        ({TYPE: "container", ID: "p"}, (ContainerType.CONTAINER, "p")),
        ({TYPE: "sandbox", ID: "p"}, (ContainerType.SANDBOX, "p")),
    ],
)
def test_the_place_in_a_pod(annotations: Any, expected: Any) -> None:
    assert container_type_and_sandbox(annotations) == expected


@pytest.mark.parametrize(
    ("annotations", "text"),
    [
        ({ID: "p"}, f"cannot specify '{ID}' without '{TYPE}'"),
        ({TYPE: "container"}, f"cannot specify '{TYPE}' without '{ID}'"),
        ({TYPE: "container", ID: ""}, f"cannot specify '{TYPE}' without '{ID}'"),
        ({TYPE: "sandbox"}, f"cannot specify '{TYPE}' without '{ID}'"),
        ({TYPE: "", ID: "p"}, f"invalid '{TYPE}': ''"),
        ({TYPE: "Sandbox", ID: "p"}, f"invalid '{TYPE}': 'Sandbox'"),
        ({TYPE: "CONTAINER"}, f"invalid '{TYPE}': 'CONTAINER'"),
    ],
)
def test_half_or_wrong_places_are_refused(annotations: Any, text: Any) -> None:
    with pytest.raises(ShimError) as caught:
        container_type_and_sandbox(annotations)
    assert str(caught.value) == text


HPC = {"microsoft.com/hostprocess-container": "true"}


@pytest.mark.parametrize(
    ("spec", "lcow", "wcow", "isolated"),
    [
        ({}, False, False, False),
        ({"linux": None, "windows": None}, False, False, False),
        ({"linux": {}}, True, False, True),
        ({"linux": {}, "windows": {}}, True, False, True),
        ({"linux": {}, "windows": {"hyperv": {}}}, True, False, True),
        ({"windows": {}}, False, True, False),
        ({"windows": {"hyperv": None}}, False, True, False),
        ({"windows": {"hyperv": {}}}, False, True, True),
    ],
)
def test_platform_and_isolation(spec: Any, lcow: Any, wcow: Any, isolated: Any) -> None:
    assert (is_lcow(spec), is_wcow(spec), is_isolated(spec)) == (lcow, wcow, isolated)
    # The HostProcess annotation counts for Windows containers alone, isolated or not.
    assert is_host_process({**spec, "annotations": HPC}) is wcow
    assert not is_host_process(spec)


@pytest.mark.parametrize("value", ["TRUE", "True", "1", "t", "false", "", " true"])
def test_the_host_process_annotation_is_exactly_true(value: Any) -> None:
    spec = {"windows": {}, "annotations": {"microsoft.com/hostprocess-container": value}}
    assert not is_host_process(spec)


def test_a_windows_section_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="windows must be an object"):
        is_isolated({"windows": 5})


def test_annotations_that_a_pod_hands_on() -> None:
    keys = ("a", "b")
    assert inherited({"a": "1", "c": "3"}, {"a": "0", "d": "4"}, keys) == {"a": "1", "d": "4"}
    assert inherited(None, {"a": "0"}, keys) == {"a": "0"}
    assert inherited({"a": "1"}, None, keys) == {}


CMD = "c:\\windows\\system32\\cmd.exe"


@pytest.mark.parametrize(
    "process",
    [
        {"args": [CMD]},
        {"args": ["C:\\Windows\\System32\\CMD.exe"]},
        {"commandLine": "C:\\WINDOWS\\system32\\cmd.exe"},
        {"args": ["x", "y"], "commandLine": CMD},
    ],
)
def test_a_lone_command_prompt_becomes_a_lasting_pause(process: Any) -> None:
    spec = {"process": process, "hostname": "h"}
    changed = with_lasting_pause(spec)
    assert changed["process"] == {**process, "commandLine": "cmd /c ping -t 127.0.0.1 > nul"}
    assert changed["hostname"] == "h"
    assert spec["process"] is process
    assert process.get("commandLine") != "cmd /c ping -t 127.0.0.1 > nul"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"process": None},
        {"process": {}},
        {"process": {"args": []}},
        {"process": {"args": ["cmd.exe"]}},
        {"process": {"args": [CMD, "/c", "x"]}},
        {"process": {"commandLine": CMD + " /c x"}},
    ],
)
def test_other_pause_commands_stay(spec: Any) -> None:
    assert with_lasting_pause(spec) == spec


def test_a_process_of_another_type_is_refused() -> None:
    for process in (5, {"args": "x"}, {"args": [1]}, {"commandLine": 7}):
        with pytest.raises(InvalidArgumentError):
            with_lasting_pause({"process": process})
