"""Variables, users, mounts and parameters of HostProcess containers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.hostprocess.environment import environment, name_of, value_of
from podshim.engines.hcs.hostprocess.location import Location
from podshim.engines.hcs.hostprocess.mounts import job_mounts
from podshim.engines.hcs.hostprocess.parameters import parameters_of
from podshim.engines.hcs.hostprocess.users import User, parse_user
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

PLACE = Location("C:\\hpc\\", bound=True)
SHELLS = "C:\\WINDOWS\\System32\\WindowsPowerShell\\v1.0\\;C:\\WINDOWS\\System32\\Wbem"


def test_layers_of_variables() -> None:
    user = ["Path=C:\\bin", "TEMP=C:\\t", "SystemRoot=C:\\Windows", "=C:=C:\\x"]
    spec = {"temp": "D:\\t", "HERE": "%CONTAINER_SANDBOX_MOUNT_POINT%\\x"}
    assert environment(user, spec, PLACE, "C:\\other") == [
        f"Path=C:\\bin;C:\\hpc\\;{SHELLS}",
        "SystemRoot=C:\\Windows",
        "=C:=C:\\x",
        "temp=D:\\t",
        "HERE=C:\\hpc\\x",
        "CONTAINER_SANDBOX_MOUNT_POINT=C:\\hpc\\",
    ]


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("PATH=a", f"PATH=a;C:\\hpc\\;{SHELLS}"),
        ("path=a;", f"path=a;C:\\hpc\\;{SHELLS}"),
        ("PATH=", f"PATH=C:\\hpc\\;{SHELLS}"),
    ],
)
def test_places_are_appended_to_every_path(given_path: str, expected: str) -> None:
    assert environment([given_path], {}, PLACE, "")[0] == expected
    name, _, value = given_path.partition("=")
    assert environment([], {name: value}, PLACE, "")[0] == expected


def test_other_variables_of_that_beginning_stay() -> None:
    assert "PATHEXT=.EXE" in environment(["PATHEXT=.EXE"], {}, PLACE, "")


def test_windows_folder_is_never_missing() -> None:
    assert environment([], {}, PLACE, "C:\\Windows")[-1] == "SYSTEMROOT=C:\\Windows"
    assert not value_of(environment([], {}, PLACE, ""), "systemroot")


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4)


@given(st.lists(st.tuples(NAMES, st.text(max_size=3))), st.dictionaries(NAMES, st.text(max_size=3)))
def test_every_name_is_there_once(user: list[tuple[str, str]], spec: dict[str, str]) -> None:
    found = environment([f"{name}={value}" for name, value in user], spec, PLACE, "C:\\w")
    names = [name_of(variable).lower() for variable in found]
    assert len(names) == len(set(names))
    assert {name.lower() for name, _ in user} | {name.lower() for name in spec} <= set(names)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("ann", User("ann")),
        ("dom\\ann", User("ann", "dom")),
        ("NT AUTHORITY\\SYSTEM", User("SYSTEM", "NT AUTHORITY", service=True)),
        ("nt authority\\SYSTEM", User("SYSTEM", "nt authority")),
    ],
)
def test_users(text: str, user: User) -> None:
    assert parse_user(text) == user


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty username or group name passed"), ("a\\b\\c", "invalid user string `a\\b\\c`")],
)
def test_users_that_cant_be(text: str, said: str) -> None:
    with pytest.raises(ShimError) as caught:
        parse_user(text)
    assert str(caught.value) == said


def mounts_of(*mounts: dict[str, Any]) -> list[str]:
    return [mount.destination for mount in job_mounts(Member({"mounts": list(mounts)}))]


def test_folders_are_mounted() -> None:
    assert mounts_of({"source": "C:\\a", "destination": "C:\\b"}) == ["C:\\b"]


@pytest.mark.parametrize("source", [r"\\.\pipe\x", r"\\.\PIPE\x"])
def test_pipes_need_no_mount(source: str) -> None:
    with pytest.raises(ShimError) as caught:
        mounts_of({"source": source, "destination": "C:\\b"})
    assert str(caught.value) == (
        "named pipe mounts not supported for job containers - interact with the pipe directly"
    )


@pytest.mark.parametrize("mount", [{"source": "C:\\a"}, {"destination": "C:\\a"}])
def test_a_mount_has_two_ends(mount: dict[str, str]) -> None:
    with pytest.raises(ShimError, match="a mount must have both source and a destination"):
        mounts_of(mount)


def test_parameters() -> None:
    found = parameters_of(
        {
            "args": ["a b", "c"],
            "cwd": "C:\\x",
            "user": {"username": "u"},
            "env": ["A=1", "B=", "C"],
            "terminal": True,
            "consoleSize": {"height": 3, "width": 100000},
        }
    )
    assert found.command_line == '"a b" c'
    assert (found.folder, found.user, found.environment) == ("C:\\x", "u", {"A": "1"})
    assert (found.terminal, found.width, found.height) == (True, 32767, 3)
    bare = parameters_of({"commandLine": "x  y", "args": ["z"]})
    assert (bare.command_line, bare.terminal) == ("x  y", False)
    assert (bare.width, bare.height) == (80, 25)


@pytest.mark.parametrize(
    "process",
    [
        {"args": "x"},
        {"args": [5]},
        {"user": "u"},
        {"cwd": 1},
        {"env": {}},
        {"consoleSize": [1, 2]},
        {"terminal": 1},
    ],
)
def test_parameters_of_a_wrong_type(process: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="process: "):
        parameters_of(process)
