"""Where HostProcess containers find their files."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.hostprocess.location import Location, location_of, without_drive
from podshim.errors import InvalidArgumentError

VOLUME = "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c0000}\\"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("C:", "."), ("C:\\x", "\\x"), ("d:x", "x"), ("\\x", "\\x"), ("x", "x"), ("", "")],
)
def test_paths_without_drives(path: str, expected: str) -> None:
    assert without_drive(path) == expected


@pytest.mark.parametrize(
    ("wanted", "bound", "place"),
    [
        ("", True, "C:\\hpc\\"),
        ("", False, "C:\\hpc\\c1\\"),
        ("D:\\root", True, "D:\\root"),
        ("D:\\root", False, "D:\\root\\c1"),
        ("D:\\root\\", False, "D:\\root\\c1"),
    ],
)
def test_places(wanted: str, bound: bool, place: str) -> None:
    assert location_of("c1", wanted, bound=bound) == Location(place, bound)


@pytest.mark.parametrize("wanted", ["x", "\\x", "C:", "C:x", "\\\\server\\share\\x", "C:\\a\0"])
def test_places_that_cant_be(wanted: str) -> None:
    with pytest.raises(InvalidArgumentError, match="must be an absolute path"):
        location_of("c1", wanted, bound=True)


@pytest.mark.parametrize("place", ["C:\\hpc\\", "D:\\root"])
def test_both_variables_mean_the_place_without_its_backslash(place: str) -> None:
    location = Location(place, bound=True)
    bare = place.rstrip("\\")
    text = "%CONTAINER_SANDBOX_MOUNT_POINT%\\a;$env:CONTAINER_SANDBOX_MOUNT_POINT\\b;%OTHER%"
    assert location.substituted(text) == f"{bare}\\a;{bare}\\b;%OTHER%"


@pytest.mark.parametrize(
    ("wanted", "bound", "expected"),
    [
        ("", True, "C:\\hpc\\"),
        ("C:\\app", True, "C:\\app"),
        ("%CONTAINER_SANDBOX_MOUNT_POINT%\\app", True, "C:\\hpc\\app"),
        ("", False, "C:\\hpc\\"),
        ("C:\\app", False, "C:\\hpc\\app"),
        ("app", False, "C:\\hpc\\app"),
        ("C:", False, "C:\\hpc"),
        ("C:\\hpc", False, "C:\\hpc\\hpc"),
        ("$env:CONTAINER_SANDBOX_MOUNT_POINT\\app", False, "C:\\hpc\\app"),
    ],
)
def test_working_directories(wanted: str, bound: bool, expected: str) -> None:
    assert Location("C:\\hpc\\", bound).working_directory(wanted) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\hpc\\app\\x", f"{VOLUME}app\\x"),
        ("c:\\HPC\\app", f"{VOLUME}app"),
        ("C:\\hpc\\", VOLUME),
        ("C:\\hpc", VOLUME),
        ("C:\\hpcx", "C:\\hpcx"),
        ("C:\\app", "C:\\app"),
        ("C:/hpc/app/x", f"{VOLUME}app\\x"),
        ("C:\\hpc/app", f"{VOLUME}app"),
        ("C:\\app\\..\\hpc\\x", f"{VOLUME}x"),
        ("C:\\hpc\\..\\app", "C:\\hpc\\..\\app"),
    ],
)
def test_a_silos_folder_is_made_on_its_volume(path: str, expected: str) -> None:
    assert Location("C:\\hpc\\", bound=True, volume=VOLUME).on_host(path) == expected
    assert Location("C:\\hpc\\", bound=False, volume=VOLUME).on_host(path) == path


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_nothing_leads_out_of_the_place(path: str) -> None:
    found = Location("C:\\hpc\\c1\\", bound=False).under(path)
    assert found == "C:\\hpc\\c1" or found.startswith("C:\\hpc\\c1\\")
    assert ".." not in found.split("\\")
