"""A plain binding of the stand-in's exports, for its own tests: every result is visible."""

import ctypes
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, Structure, byref, c_uint32, c_void_p, c_wchar_p
from pathlib import Path
from typing import Any

assert sys.platform == "win32"

core = ctypes.WinDLL("computecore.dll")
legacy = ctypes.WinDLL("vmcompute.dll")
storage = ctypes.WinDLL("computestorage.dll")
network = ctypes.WinDLL("computenetwork.dll")
ole = ctypes.WinDLL("ole32.dll")
kernel = ctypes.WinDLL("kernel32.dll", use_last_error=True)
kernel.ReadFile.argtypes = [c_void_p, c_void_p, c_uint32, POINTER(c_uint32), c_void_p]
kernel.WriteFile.argtypes = [c_void_p, ctypes.c_char_p, c_uint32, POINTER(c_uint32), c_void_p]
kernel.GetOverlappedResult.argtypes = [c_void_p, c_void_p, POINTER(c_uint32), c_uint32]
kernel.CreateEventW.restype = c_void_p
kernel.CloseHandle.argtypes = [c_void_p]
ole.CoTaskMemFree.argtypes = [c_void_p]
for _function in (core.HcsCreateOperation, core.HcsCloseOperation):
    _function.restype = c_void_p

PENDING = 0xC0370103
CREATE = {
    "Owner": "test",
    "SchemaVersion": {"Major": 2, "Minor": 1},
    "ShouldTerminateOnLastHandleClosed": True,
    "Container": {"GuestOs": {"HostName": "box"}},
}

CoreCallback = ctypes.WINFUNCTYPE(None, c_void_p, c_void_p)
LegacyCallback = ctypes.WINFUNCTYPE(None, c_uint32, c_void_p, c_uint32, c_wchar_p)


class CoreEvent(Structure):
    _fields_ = [("type", c_uint32), ("data", c_wchar_p)]


class ProcessInformation(Structure):
    _fields_ = [
        ("pid", c_uint32),
        ("reserved", c_uint32),
        ("stdin", c_void_p),
        ("stdout", c_void_p),
        ("stderr", c_void_p),
    ]


class Overlapped(Structure):
    _fields_ = [
        ("internal", c_void_p),
        ("internal_high", c_void_p),
        ("offset", ctypes.c_uint64),
        ("event", c_void_p),
    ]


def unsigned(result: int) -> int:
    return result & 0xFFFFFFFF


def take(pointer: c_void_p) -> str | None:
    """Copy a CoTaskMem string and free it."""
    if not pointer.value:
        return None
    text = ctypes.wstring_at(pointer.value)
    ole.CoTaskMemFree(pointer)
    return text


def submit(
    function: Any, *before: Any, after: tuple[Any, ...] = (), wait: int = 20000
) -> tuple[int, int | None, str | None]:
    """Call with an operation: the call's result, the operation's, and its document."""
    operation = c_void_p(core.HcsCreateOperation(None, None))
    try:
        called = unsigned(function(*before, operation, *after))
        document = c_void_p()
        if called:
            core.HcsGetOperationResult(operation, byref(document))
            return called, None, take(document)
        waited = unsigned(core.HcsWaitForOperationResult(operation, wait, byref(document)))
        return called, waited, take(document)
    finally:
        core.HcsCloseOperation(operation)


def create(
    name: str, document: Any = CREATE
) -> tuple[tuple[int, int | None, str | None], c_void_p]:
    system = c_void_p()
    text = document if isinstance(document, str) else json.dumps(document)
    return submit(core.HcsCreateComputeSystem, name, text, after=(None, byref(system))), system


@contextmanager
def running(name: str, document: Any = CREATE) -> Iterator[c_void_p]:
    result, system = create(name, document)
    assert result[:2] == (0, 0), result
    try:
        assert submit(core.HcsStartComputeSystem, system, after=("",))[:2] == (0, 0)
        yield system
    finally:
        core.HcsCloseComputeSystem(system)


def spawn(system: c_void_p, **parameters: Any) -> tuple[int, c_void_p, ProcessInformation]:
    """Create a process; the operation's (or else the call's) result, handle and information."""
    operation = c_void_p(core.HcsCreateOperation(None, None))
    process, info, document = c_void_p(), ProcessInformation(), c_void_p()
    try:
        result = unsigned(
            core.HcsCreateProcess(system, json.dumps(parameters), operation, None, byref(process))
        )
        if not result:
            result = unsigned(
                core.HcsWaitForOperationResultAndProcessInfo(
                    operation, 20000, byref(info), byref(document)
                )
            )
            take(document)
    finally:
        core.HcsCloseOperation(operation)
    return result, process, info


def _transfer(function: Any, handle: int, buffer: Any, size: int) -> int:
    """One overlapped transfer; the number of bytes, 0 at the end."""
    event = kernel.CreateEventW(None, 1, 0, None)
    overlapped, count = Overlapped(event=event), c_uint32()
    try:
        if not function(handle, buffer, size, None, byref(overlapped)):
            error = ctypes.get_last_error()
            if error == 109:  # broken pipe
                return 0
            assert error == 997, error  # pending
        if not kernel.GetOverlappedResult(handle, byref(overlapped), byref(count), 1):
            return 0
        return count.value
    finally:
        kernel.CloseHandle(event)


def read_all(handle: int) -> bytes:
    data, buffer = b"", ctypes.create_string_buffer(4096)
    while count := _transfer(kernel.ReadFile, handle, buffer, 4096):
        data += buffer.raw[:count]
    kernel.CloseHandle(handle)
    return data


def write(handle: int, data: bytes) -> None:
    assert _transfer(kernel.WriteFile, handle, data, len(data)) == len(data)


def properties(system: c_void_p, *types: str) -> dict[str, Any]:
    query = json.dumps({"PropertyTypes": list(types)} if types else {})
    called, waited, document = submit(core.HcsGetComputeSystemProperties, system, after=(query,))
    assert (called, waited) == (0, 0)
    answer: dict[str, Any] = json.loads(document or "")
    return answer


def terminate(system: c_void_p) -> tuple[int, int | None]:
    return submit(core.HcsTerminateComputeSystem, system, after=("",))[:2]


def python(program: str) -> str:
    return f'"{sys.executable}" -c "{program}"'


class Listener:
    """Collects events; ``wait(n)`` returns the first n of them once there are so many."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Any]] = []
        self.threads: set[int] = set()
        self._changed = threading.Condition()
        self.core = CoreCallback(self._core)
        self.legacy = LegacyCallback(self._legacy)

    def wait(self, count: int) -> list[tuple[int, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events) >= count, 30), self.events
            return self.events[:count]

    def _add(self, kind: int, value: Any) -> None:
        with self._changed:
            self.threads.add(threading.get_ident())
            self.events.append((kind, value))
            self._changed.notify_all()

    def _core(self, event: int, _context: int) -> None:
        seen = CoreEvent.from_address(event)
        self._add(seen.type, json.loads(seen.data) if seen.data else None)

    def _legacy(self, kind: int, _context: int, status: int, data: str | None) -> None:
        self._add(kind, (status, json.loads(data) if data else None))


def configure(folder: Path, **members: Any) -> None:
    """Write the stand-in's configuration and point it there."""
    path = folder / "config.json"
    path.write_text(json.dumps(members))
    os.environ["HCS_STANDIN_CONFIG"] = str(path)


def trace(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
