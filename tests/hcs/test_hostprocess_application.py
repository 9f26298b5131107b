"""Which program a command line means."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs.hostprocess.application import find_application, search_path
from podshim.errors import ShimError

SYSTEM = "C:\\windows\\system32"
FILES = {
    "ping": f"{SYSTEM}\\ping.exe",
    "system32/ping": f"{SYSTEM}\\ping.exe",
    "cmd": f"{SYSTEM}\\cmd.exe",
    "C:\\with space\\a  b": "C:\\with space\\a  b.exe",
    "C:\\with space\\a b.exe": "C:\\with space\\a b.exe",
}


@pytest.mark.parametrize(
    ("line", "application", "result"),
    [
        ("ping", f"{SYSTEM}\\ping.exe", "ping"),
        ("system32/ping", f"{SYSTEM}\\ping.exe", "system32/ping"),
        ("cmd /c ping 127.0.0.1", f"{SYSTEM}\\cmd.exe", "cmd /c ping 127.0.0.1"),
        ("ping test", f"{SYSTEM}\\ping.exe", "ping test"),
        ('"ping" 127.0.0.1', f"{SYSTEM}\\ping.exe", '"ping" 127.0.0.1'),
        (' "ping" x', f"{SYSTEM}\\ping.exe", ' "ping" x'),
        (
            'C:\\with space\\a b.exe  -x "q  r"s',
            "C:\\with space\\a b.exe",
            '"C:\\with space\\a b.exe"  -x "q  r"s',
        ),
        ("C:\\with space\\a  b", "C:\\with space\\a  b.exe", '"C:\\with space\\a  b"'),
        ('"C:\\with space\\a b.exe"', "C:\\with space\\a b.exe", '"C:\\with space\\a b.exe"'),
    ],
)
def test_programs_are_found(line: str, application: str, result: str) -> None:
    assert find_application(line, FILES.get) == (application, result)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nothing here", 'failed to find executable "nothing here"'),
        ("C:\\nothing\\x.exe", 'failed to find executable "C:\\\\nothing\\\\x.exe"'),
        ('"nothing" here', 'failed to find executable "\\"nothing\\" here"'),
        ('"ping', "no ending quotation mark found in command"),
        ('""', 'failed to find executable "\\"\\""'),
        ("", 'failed to find executable ""'),
        ("   ", 'failed to find executable "   "'),
        ('pi"ng"', 'failed to find executable "pi\\"ng\\""'),
    ],
)
def test_what_is_no_program_is_told(line: str, reason: str) -> None:
    with pytest.raises(ShimError) as caught:
        find_application(line, FILES.get)
    told = line.replace("\\", "\\\\").replace('"', '\\"')
    assert str(caught.value) == (
        f'failed to get application name from commandline "{told}": {reason}'
    )


def test_what_was_asked_for_is_told() -> None:
    with pytest.raises(ShimError) as caught:
        find_application("place/x", FILES.get, "%PLACE%/x")
    assert str(caught.value) == (
        'failed to get application name from commandline "%PLACE%/x":'
        ' failed to find executable "place/x"'
    )


@given(st.text())
def test_any_line_means_a_program_or_is_refused(line: str) -> None:
    asked = []

    def find(name: str) -> str | None:
        asked.append(name)
        return "found" if len(asked) == 2 else None

    try:
        _, result = find_application(line, find)
    except ShimError:
        return
    # Nothing is added but quotes, nothing dropped but spaces at the beginning.
    assert result.replace('"', "") in {
        line.replace('"', ""),
        line.lstrip(" \t\n\r\f\v").replace('"', ""),
    }


def test_the_search_path() -> None:
    path = search_path("C:\\w", "C:\\PATH HAT;D:\\H", SYSTEM, "C:\\windows")
    assert path == f"C:\\w;C:\\PATH HAT;D:\\H;{SYSTEM};C:\\windows\\System;C:\\windows"
    assert search_path("C:\\w", "", SYSTEM, "C:\\windows").startswith(f"C:\\w;{SYSTEM};")
