"""Which shim hosts a container, by each platform's rule."""

from __future__ import annotations

import pytest

from podshim.shim.membership import (
    CONTAINER,
    CONTAINER_TYPE,
    GROUP,
    NONE,
    SANDBOX,
    SANDBOX_ID,
    MembershipError,
    linux_group,
    windows_host,
    windows_place,
)

T, S = CONTAINER_TYPE, SANDBOX_ID


@pytest.mark.parametrize(
    ("annotations", "group"),
    [
        ({}, "c1"),
        ({"other": "x"}, "c1"),
        ({GROUP: "g"}, "g"),
        ({S: "pod"}, "pod"),
        ({S: "pod", T: "container"}, "pod"),
        ({GROUP: "g", S: "pod"}, "g"),
        ({GROUP: "", S: "pod"}, ""),
        ({S: ""}, ""),
        ({GROUP: "../../etc"}, "../../etc"),
        ({T: "sandbox"}, "c1"),
    ],
)
def test_linux_groups(annotations: dict[str, str], group: str) -> None:
    assert linux_group(annotations, "c1") == group


@pytest.mark.parametrize(
    ("annotations", "place"),
    [
        ({}, (NONE, "")),
        ({S: ""}, (NONE, "")),
        ({T: "container", S: "pod"}, (CONTAINER, "pod")),
        ({T: "sandbox", S: "pod"}, (SANDBOX, "pod")),
    ],
)
def test_windows_places(annotations: dict[str, str], place: tuple[str, str]) -> None:
    assert windows_place(annotations) == place


ALONE = f"cannot specify '{S}' without '{T}'"
UNNAMED = f"cannot specify '{T}' without '{S}'"


@pytest.mark.parametrize(
    ("annotations", "text"),
    [
        ({S: "pod"}, ALONE),
        ({T: "container"}, UNNAMED),
        ({T: "container", S: ""}, UNNAMED),
        ({T: "sandbox"}, UNNAMED),
        ({T: "sandbox", S: ""}, UNNAMED),
        ({T: ""}, f"invalid '{T}': ''"),
        ({T: "", S: "pod"}, f"invalid '{T}': ''"),
        ({T: "Sandbox", S: "pod"}, f"invalid '{T}': 'Sandbox'"),
        ({T: "CONTAINER", S: "pod"}, f"invalid '{T}': 'CONTAINER'"),
        ({T: "container "}, f"invalid '{T}': 'container '"),
    ],
)
def test_windows_contradictions(annotations: dict[str, str], text: str) -> None:
    with pytest.raises(MembershipError) as caught:
        windows_place(annotations)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("annotations", "host"),
    [
        ({}, ("c1", False)),
        ({T: "sandbox", S: "c1"}, ("c1", False)),
        ({T: "container", S: "pod"}, ("pod", True)),
        ({T: "container", S: "c1"}, ("c1", True)),
    ],
)
def test_windows_hosts(annotations: dict[str, str], host: tuple[str, bool]) -> None:
    assert windows_host(annotations, "c1") == host


def test_a_windows_sandbox_has_its_own_id() -> None:
    with pytest.raises(MembershipError) as caught:
        windows_host({T: "sandbox", S: "pod"}, "c1")
    assert str(caught.value) == f"'id' and '{S}' must match for '{T}=sandbox'"
