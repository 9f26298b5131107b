"""Figures of jobs as containerd is told of them."""

from __future__ import annotations

import pytest

from podshim.engines.hcs.hostprocess.figures import Figures, details, statistics
from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings, cause
from podshim.win32.binding import failure
from podshim.win32.systemprocesses import SystemProcess

NOW = 1_700_000_000_123_456_789


def test_all_figures() -> None:
    figures = Figures(
        10, 20, 4096, commit=1, peak_commit=2, reads=3, read_bytes=4, writes=5, write_bytes=6
    )
    windows = statistics(figures, now=NOW, started=NOW - 1_000_000_050).windows
    assert (windows.timestamp.seconds, windows.timestamp.nanos) == (1_700_000_000, 123_456_789)
    assert windows.container_start_time.seconds == 1_699_999_999
    assert windows.uptime_ns == 1_000_000_000
    processor = windows.processor
    assert (processor.runtime_user_ns, processor.runtime_kernel_ns) == (1000, 2000)
    assert processor.total_runtime_ns == 3000
    memory = windows.memory
    assert memory.memory_usage_private_working_set_bytes == 4096
    assert (memory.memory_usage_commit_bytes, memory.memory_usage_commit_peak_bytes) == (1, 2)
    storage = windows.storage
    assert (storage.read_count_normalized, storage.read_size_bytes) == (3, 4)
    assert (storage.write_count_normalized, storage.write_size_bytes) == (5, 6)


def test_what_is_not_told_is_left_out() -> None:
    windows = statistics(Figures(0, 0, 0), now=NOW, started=0).windows
    assert not windows.HasField("storage")
    assert not windows.HasField("container_start_time")
    assert windows.uptime_ns == 0


def test_a_clock_set_back_is_no_negative_uptime() -> None:
    assert statistics(Figures(0, 0, 0), now=NOW, started=NOW + 5).windows.uptime_ns == 0


def test_details_of_the_jobs_processes() -> None:
    windows_time = (1_700_000_000 + 11_644_473_600) * 10**7 + 5
    one = SystemProcess(7, "a.exe", windows_time, 1, 2, 3, 50, 20)
    other = SystemProcess(8, "b.exe", windows_time, 1, 2, 3, 20, 50)
    [found] = details([one, other], [7, 99])
    assert (found.process_id, found.image_name) == (7, "a.exe")
    assert (found.created_at.seconds, found.created_at.nanos) == (1_700_000_000, 500)
    assert (found.user_time_100_ns, found.kernel_time_100_ns) == (1, 2)
    assert found.memory_commit_bytes == 3
    assert found.memory_working_set_private_bytes == 20
    assert found.memory_working_set_shared_bytes == 30
    assert details([other], [8])[0].memory_working_set_shared_bytes == 0


@pytest.mark.parametrize("code", [1, 50, 120, 126, 127])
def test_what_a_host_lacks_is_told_once(code: int, caplog: pytest.LogCaptureFixture) -> None:
    shortcomings = Shortcomings("c1")
    for _ in range(3):
        with shortcomings.allowed("wings"):
            raise failure(code, "wings")
    with shortcomings.allowed("hands"):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "container c1: this host has no wings" in caplog.text


@pytest.mark.parametrize("code", [5, 6, 87])
def test_other_failures_are_no_shortcomings(code: int) -> None:
    with pytest.raises(OSError, match=r".+"), Shortcomings("c1").allowed("wings"):
        raise failure(code, "wings")


def test_a_cause_is_what_the_system_said() -> None:
    assert cause(OSError(0, "said")) == "said"
    assert cause(OSError("bare")) == "bare"
    assert cause(OSError()) == "OSError"
