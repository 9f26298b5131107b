"""What is asked of Windows for pipes: every argument of the calls that make and open them."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pytest

from podshim.win32 import pipes
from podshim.win32.pipes import create, open_child_end, open_client
from podshim.win32.security import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podshim.win32.handles import Handle

PATH = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\x"
GENERIC_READ, GENERIC_WRITE, SYNCHRONIZE = 0x80000000, 0x40000000, 0x00100000
OPEN, CREATE = 1, 2
OVERLAPPED, SQOS_PRESENT = 0x40000000, 0x00100000


class Recorder:
    """Stands for a function of Windows: keeps its arguments, gives a handle."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.name = ""
        self.descriptor: int | None = None

    def create(self, *arguments: Any) -> int:
        self.calls.append(arguments)
        arguments[0]._obj.value = 100 + len(self.calls)
        attributes = arguments[2]._obj
        self.name = ctypes.wstring_at(attributes.ObjectName.contents.Buffer)
        self.descriptor = attributes.SecurityDescriptor
        return 0

    def open(self, *arguments: Any) -> int:
        self.calls.append(arguments)
        return 100 + len(self.calls)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(pipes, "_create_named_pipe", recorder.create)
    monkeypatch.setattr(pipes, "_create_file", recorder.open)
    monkeypatch.setattr(pipes, "_get_pipe_info", lambda *_: True)
    return recorder


@pytest.fixture
def handles() -> Iterator[list[Handle]]:
    """What was made up, and must not be closed."""
    made: list[Handle] = []
    yield made
    for handle in made:
        handle.release()


def test_the_first_instance_must_be_the_first(recorder: Recorder, handles: list[Handle]) -> None:
    handles.append(create(PATH, Descriptor(0x1234), first=True, buffer=77))
    assert handles[0].value == 101
    assert recorder.name == "\\??\\pipe\\ProtectedPrefix\\Administrators\\x"
    assert recorder.descriptor == 0x1234
    (call,) = recorder.calls
    access, share, disposition, options = call[1], *call[4:7]
    assert access == GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE
    assert (share, disposition, options) == (3, CREATE, 0)
    kind, read_mode, completion_mode, instances, inbound, outbound = call[7:13]
    assert kind == 2  # bytes, remote clients rejected
    assert (read_mode, completion_mode) == (0, 0)
    assert instances == 0xFFFFFFFF
    assert (inbound, outbound) == (77, 77)
    assert call[13]._obj.value == -500_000  # 50 ms, relative


def test_further_instances_need_a_first(recorder: Recorder, handles: list[Handle]) -> None:
    handles.append(create(PATH, Descriptor(0), first=False))
    assert recorder.calls[0][5:7] == (OPEN, 0)
    assert recorder.descriptor is None


@pytest.mark.parametrize(
    ("reads", "writes", "access", "share"),
    [
        (True, False, GENERIC_READ | SYNCHRONIZE, 2),
        (False, True, GENERIC_WRITE | SYNCHRONIZE, 1),
        (False, False, SYNCHRONIZE, 3),
    ],
)
def test_directions(
    recorder: Recorder,
    handles: list[Handle],
    *,
    reads: bool,
    writes: bool,
    access: int,
    share: int,
) -> None:
    handles.append(create(PATH, Descriptor(0), first=True, reads=reads, writes=writes, instances=1))
    call = recorder.calls[0]
    assert (call[1], call[4], call[10]) == (access, share, 1)


def test_a_path_that_is_too_long(recorder: Recorder) -> None:
    with pytest.raises(OSError, match=r"206") as caught:
        create("\\\\.\\pipe\\" + "x" * 40_000, Descriptor(0), first=True)
    assert getattr(caught.value, "winerror", None) == 206
    assert not recorder.calls


def test_a_client_tells_nothing_of_itself(recorder: Recorder, handles: list[Handle]) -> None:
    handles.append(open_client(PATH))
    both = GENERIC_READ | GENERIC_WRITE
    assert recorder.calls == [(PATH, both, 0, None, 3, OVERLAPPED | SQOS_PRESENT, None)]


@pytest.mark.parametrize("reads", [True, False])
def test_a_child_s_end_is_plain_and_inheritable(
    recorder: Recorder, handles: list[Handle], *, reads: bool
) -> None:
    handles.append(open_child_end(PATH, reads=reads))
    (path, access, share, security, disposition, flags, template) = recorder.calls[0]
    assert (path, share, disposition, flags, template) == (PATH, 0, 3, SQOS_PRESENT, None)
    assert access & (GENERIC_READ | GENERIC_WRITE) == (GENERIC_READ if reads else GENERIC_WRITE)
    assert security._obj.bInheritHandle == 1
    assert security._obj.lpSecurityDescriptor is None


def test_what_is_no_pipe_is_closed_again(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr("podshim.win32.handles._close_handle", closed.append)
    monkeypatch.setattr(pipes, "_get_pipe_info", lambda *_: False)
    with pytest.raises(OSError, match=r"127|WinError"):
        open_client(PATH)
    assert closed == [101]


def test_elsewhere_a_pipe_is_an_error() -> None:
    with pytest.raises(OSError, match=r"ntdll\.dll|kernel32\.dll"):
        open_client(PATH)
