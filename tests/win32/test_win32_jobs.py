"""Job objects: what the system is told, with a system of our own; and sizes of structures."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pytest

from podshim.win32 import jobs
from podshim.win32.jobs import CPU_RATE_HARD_CAP, CPU_RATE_WEIGHT, Job

if TYPE_CHECKING:
    from collections.abc import Iterator


class System:
    """Job functions of a system that keeps what it is told.

    Args:
        knows: the kinds of information that it knows.
        forgetful: whether it tells nothing of limits, as Wine.
    """

    def __init__(self, *knows: int, forgetful: bool = False) -> None:
        self.knows = knows
        self.forgetful = forgetful
        self.set: list[tuple[int, bytes]] = []
        self.kept: dict[int, bytes] = {}
        self.error = 0
        self.pids: list[int] = []
        self.io: list[Any] = []

    def create(self, attributes: None, name: str) -> int:
        return 4

    def last_error(self) -> int:
        return self.error

    def set_information(self, handle: int, kind: int, value: Any, size: int) -> bool:
        if kind not in self.knows:
            self.error = 87
            return False
        data = b"" if value is None else ctypes.string_at(value, size)
        self.set.append((kind, data))
        if not self.forgetful:
            self.kept[kind] = data
        return True

    def query(self, handle: int, kind: int, into: Any, size: int, length: None) -> bool:
        if kind not in self.knows:
            self.error = 87
            return False
        if kind == 3:
            return self._query_pids(into, size)
        data = self.kept.get(kind, b"")[:size]
        ctypes.memmove(into, data, len(data))
        return True

    def _query_pids(self, into: Any, size: int) -> bool:
        room = (size - 8) // 8
        told = self.pids[:room]
        numbers = [len(self.pids) | len(told) << 32, *told]
        data = b"".join(number.to_bytes(8, "little") for number in numbers)
        ctypes.memmove(into, data, len(data))
        self.error = 234
        return len(told) == len(self.pids)

    def last(self, kind: int, form: type[Any]) -> Any:
        return form.from_buffer_copy([data for one, data in self.set if one == kind][-1])


@pytest.fixture
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    opened: list[Job] = []

    def make(*knows: int, forgetful: bool = False) -> tuple[System, Job]:
        system = System(*knows, forgetful=forgetful)
        monkeypatch.setattr(jobs, "_create_job", system.create)
        monkeypatch.setattr(jobs, "last_error", system.last_error)
        monkeypatch.setattr("podshim.win32.binding.last_error", system.last_error)
        monkeypatch.setattr(jobs, "_set_information", system.set_information)
        monkeypatch.setattr(jobs, "_query_information", system.query)
        opened.append(Job("j"))
        return system, opened[-1]

    yield make
    for job in opened:
        job.handle.release()


@pytest.mark.parametrize("forgetful", [False, True])
def test_limits_add_up(made: Any, forgetful: bool) -> None:
    system, job = made(9, forgetful=forgetful)
    job.kill_on_close()
    job.limit_memory(5 << 30)
    told = system.last(9, jobs.ExtendedLimits)
    assert told.Basic.LimitFlags == 0x2200
    assert told.JobMemoryLimit == 5 << 30


@pytest.mark.parametrize(
    ("kind", "value", "flags"), [(CPU_RATE_HARD_CAP, 2500, 5), (CPU_RATE_WEIGHT, 9, 3)]
)
def test_processor_time(made: Any, kind: int, value: int, flags: int) -> None:
    system, job = made(15)
    job.limit_cpu(kind, value)
    told = system.last(15, jobs._CpuRate)
    assert (told.ControlFlags, told.Value) == (flags, value)


def test_processors(made: Any) -> None:
    system, job = made(14)
    job.bind_to_processors([(3, 0), (1 << 63, 1)])
    told = system.last(14, jobs._GroupAffinity * 2)
    assert [(one.Mask, one.Group) for one in told] == [(3, 0), (1 << 63, 1)]


def test_silo_and_attribution(made: Any) -> None:
    system, job = made(35, 42)
    job.count_io()
    job.make_silo()
    assert system.last(42, jobs.IoAttribution).ControlFlags == 1
    assert system.set[-1] == (35, b"")


def test_input_and_output_are_limited_without_asking(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job = made()
    told: list[Any] = []

    def limit(handle: int, rate: Any) -> int:
        told.append(rate._obj)
        return 1

    monkeypatch.setattr(jobs, "_set_io_rate", limit)
    job.limit_io(100, 200)
    assert (told[0].MaxIops, told[0].MaxBandwidth, told[0].ControlFlags) == (100, 200, 1)
    assert told[0].VolumeName is None


@pytest.mark.parametrize(
    "ask",
    [
        lambda job: job.limit_cpu(CPU_RATE_WEIGHT, 1),
        lambda job: job.bind_to_processors([(1, 0)]),
        lambda job: job.count_io(),
        lambda job: job.memory(),
        lambda job: job.io(),
    ],
)
def test_kinds_that_a_system_does_not_know_are_not_supported(made: Any, ask: Any) -> None:
    _, job = made()
    with pytest.raises(OSError, match=r".+") as caught:
        ask(job)
    assert getattr(caught.value, "winerror", None) == 50


def test_a_value_that_a_system_refuses_is_its_error(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, job = made(14)
    system.error = 87
    monkeypatch.setattr(jobs, "_set_information", lambda *words: False)
    with pytest.raises(OSError, match=r".+") as caught:
        job.bind_to_processors([(1 << 63, 0)])
    assert getattr(caught.value, "winerror", None) == 87


@pytest.mark.parametrize("count", [0, 1, 2, 9, 1000])
def test_all_processes_are_listed(made: Any, count: int) -> None:
    system, job = made(3)
    system.pids = [4 * number + 4 for number in range(count)]
    assert job.pids() == system.pids


def test_a_taken_name_is_no_job_of_ours(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = made()
    closed: list[int] = []
    monkeypatch.setattr("podshim.win32.handles._close_handle", closed.append)
    system.error = 183
    with pytest.raises(OSError, match=r".+") as caught:
        Job("j")
    assert getattr(caught.value, "winerror", None) == 183
    assert closed == [4]


@pytest.mark.parametrize(
    ("form", "size"),
    [
        (jobs.BasicAccounting, 48),
        (jobs.ExtendedLimits, 144),
        (jobs._CompletionPort, 16),
        (jobs._CpuRate, 8),
        (jobs._GroupAffinity, 16),
        (jobs.MemoryUsage, 16),
        (jobs.IoAttribution, 72),
        (jobs._IoRate, 40),
    ],
)
def test_structures_are_windows_own(form: type[Any], size: int) -> None:
    assert ctypes.sizeof(form) == size
