"""What the system tells of processes, and what it is told of new ones."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest
from hypothesis import given, strategies as st

from podshim.win32 import creation, running, systemprocesses
from podshim.win32.creation import environment_block
from podshim.win32.systemprocesses import SystemProcess, parse

ADDRESS = 0x10000
SIZE = 256


def entry(process: SystemProcess, next_offset: int, name_at: int) -> bytes:
    name = process.image.encode("utf-16-le", "surrogatepass")
    data = bytearray(SIZE)
    struct.pack_into("<I", data, 0, next_offset)
    struct.pack_into("<q", data, 8, process.private_working_set)
    struct.pack_into("<qqq", data, 32, process.created, process.user_time, process.kernel_time)
    struct.pack_into("<HH", data, 56, len(name), len(name))
    struct.pack_into("<Q", data, 64, name_at if name else 0)
    struct.pack_into("<Q", data, 80, process.pid)
    struct.pack_into("<Q", data, 144, process.working_set)
    struct.pack_into("<Q", data, 200, process.commit)
    return bytes(data)


def written(processes: list[SystemProcess]) -> bytes:
    whole = b""
    for number, process in enumerate(processes):
        name = process.image.encode("utf-16-le", "surrogatepass")
        last = number == len(processes) - 1
        offset = SIZE + len(name) + 7 & ~7
        at = ADDRESS + len(whole) + SIZE
        whole += (entry(process, 0 if last else offset, at) + name).ljust(offset, b"\0")
    return whole


NUMBERS = st.integers(0, (1 << 62) - 1)
NAMES = st.text(st.characters(codec="utf-16-le"), max_size=20)
PROCESSES = st.builds(
    SystemProcess, NUMBERS, NAMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS
)


@given(st.lists(PROCESSES, min_size=1, max_size=5))
def test_processes_are_read_as_the_system_wrote_them(processes: list[SystemProcess]) -> None:
    assert list(parse(written(processes), ADDRESS)) == processes


@given(st.binary(max_size=700))
def test_whatever_was_written_reading_ends(data: bytes) -> None:
    assert len(list(parse(data, ADDRESS))) <= len(data)


def test_a_name_that_lies_elsewhere_is_not_read() -> None:
    [found] = parse(entry(SystemProcess(4, "x", 0, 0, 0, 0, 0, 0), 0, 5), ADDRESS)
    assert found.image == ""


@pytest.mark.parametrize(
    ("form", "size"),
    [
        (running._VmCounters, 112),
        (creation._StartupInfo, 112),
        (creation._ProcessInformation, 24),
        (systemprocesses._ProcessInformation, 208),
    ],
)
def test_structures_are_windows_own(form: type[Any], size: int) -> None:
    assert ctypes.sizeof(form) == size


def test_an_environment_block() -> None:
    assert environment_block(["A=1", "B=2"]) == "A=1\0B=2\0"
    assert environment_block([]) == "\0"
    with pytest.raises(OSError, match=r".+"):
        environment_block(["A=\0"])
