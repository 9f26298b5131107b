"""Codes, documents and texts of the Host Compute Service."""

import json

import pytest
from hypothesis import given, strategies as st

from podshim.engines.hcs import results
from podshim.engines.hcs.results import ClosedError, ErrorEvent, HcsError, LostServiceError
from podshim.engines.hcs.timeouts import Timeouts, wait_milliseconds
from podshim.errors import Code, status_of
from podshim.win32.binding import normalised

BOTH = (0xC0370000, 0x80370000)


@pytest.mark.parametrize("family", BOTH)
def test_both_spellings_of_a_condition_are_one(family: int) -> None:
    assert results.is_not_exist(family | 0x10E)
    assert results.is_already_stopped(family | 0x110)
    assert results.is_already_stopped(family | 0x11F)
    assert results.is_invalid_state(family | 0x105)
    assert results.is_timeout(family | 0x118)
    for low in (0x103, 0x10E, 0x110):
        assert results.is_end_under_way(family | low)
    for low in (0x105, 0x10E):
        assert results.is_process_gone(family | low)
        assert results.is_out_of_reach(family | low)


def test_codes_of_windows_have_their_classes() -> None:
    assert results.is_not_exist(0x490)
    assert results.is_already_stopped(0x490)
    assert results.is_process_gone(0x490)
    for code in (5, 6, 0x490):
        assert results.is_out_of_reach(code)
    for code in (0, 5, 0x57, 0x10E, 0x110, 0x80070110):
        assert not results.is_already_stopped(code)
        assert not results.is_end_under_way(code)


@given(st.integers(0, 0xFFFFFFFF))
def test_only_codes_of_the_service_have_conditions(code: int) -> None:
    ours = results.condition(code)
    assert (ours is not None) == (code & 0x1FFF0000 == 0x00370000)
    assert ours is None or ours == code & 0xFFFF


@given(st.integers(0, 0xFFFFFFFF))
def test_normalising_keeps_all_but_the_win32_facility(hresult: int) -> None:
    code = normalised(hresult)
    assert code == (hresult & 0xFFFF if hresult & 0x1FFF0000 == 0x00070000 else hresult)
    assert results.failed(hresult) == (hresult >= 1 << 31)


def text(code: int) -> str:
    return f"<{code:#x}>"


def test_the_shape_of_an_error() -> None:
    events = (
        ErrorEvent("first"),
        ErrorEvent("second", "trace", "provider", 7, 3, "source"),
    )
    error = HcsError("hcs::System::Start", "c1", 5, events=events, text=text)
    assert str(error) == (
        "hcs::System::Start c1: <0x5>\n"
        "[Event Detail: first]\n"
        "[Event Detail: second Stack Trace: trace Provider: provider EventID: 7 flags: 3"
        " Source: source]"
    )
    assert str(HcsError("hcs::GetServiceProperties", "", 5, text=text)) == (
        "hcs::GetServiceProperties: <0x5>"
    )
    assert status_of(error) == (Code.UNKNOWN, str(error))


def test_errors_without_a_code_of_the_system() -> None:
    assert str(ClosedError("hcs::System::Start", "c1")) == (
        "hcs::System::Start c1: hcsshim: the handle has already been closed"
    )
    assert str(LostServiceError("hcs::System::waitBackground", "c1")) == (
        "hcs::System::waitBackground c1: lost communication with compute service"
    )


def test_a_result_document_is_read() -> None:
    document = {
        "Error": -2147024891,
        "ErrorMessage": "denied",
        "ErrorEvents": [
            {"Message": "m", "StackTrace": "s", "Provider": "p", "EventId": 1, "Flags": 2},
            {"Source": "only"},
            "no object",
            {"Message": 5, "EventId": "six"},
        ],
    }
    assert results.events_of(json.dumps(document)) == (
        ErrorEvent("m", "s", "p", 1, 2),
        ErrorEvent(source="only"),
        ErrorEvent(),
    )


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_any_document_is_borne(document: str) -> None:
    assert results.events_of(document) == ()
    assert results.exit_code_of(document) in range(1 << 32)
    assert results.exit_type_of(document) is None


def test_failure_is_raised_with_what_the_service_said() -> None:
    results.check(0, "", "hcs::System::Start", "c1")
    results.check(1, "", "hcs::System::Start", "c1")
    with pytest.raises(HcsError) as caught:
        results.check(0x80070005, '{"ErrorEvents":[{"Message":"m"}]}', "hcs::System::Start", "c1")
    assert caught.value.result == 5
    assert caught.value.events == (ErrorEvent("m"),)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"ExitCode": 7, "LastWaitResult": 0}, 7),
        ({"ExitCode": 0xC000013A}, 0xC000013A),
        ({"ExitCode": -1}, 0xFFFFFFFF),
        ({}, 0),
        ({"ExitCode": 7, "LastWaitResult": 1}, 0xFFFFFFFF),
        ({"ExitCode": "7"}, 0xFFFFFFFF),
    ],
)
def test_exit_codes(data: dict[str, object], code: int) -> None:
    assert results.exit_code_of(json.dumps(data)) == code
    assert results.exit_code_of("") == 0xFFFFFFFF


def test_timeouts_can_be_changed_by_the_environment() -> None:
    changed = Timeouts.of(
        {
            "HCSSHIM_TIMEOUT_SYSTEMCREATE": "7",
            "HCSSHIM_TIMEOUT_SYSTEMSTART": "0",
            "HCSSHIM_TIMEOUT_SYSTEMPAUSE": "-3",
            "HCSSHIM_TIMEOUT_SYSTEMRESUME": "9" * 5000,
            "HCSSHIM_TIMEOUT_SYSTEMSAVE": "1.5",
            "HCSSHIM_TIMEOUT_SYSCALLWATCHER": "٣",
            "HCSSHIM_TIMEOUT_GCSCONNECTION": "600",
        }
    )
    assert changed == Timeouts(create=7.0, guest_connection=600.0)


def test_waits_fit_what_windows_takes() -> None:
    assert wait_milliseconds(None) == 0xFFFFFFFF
    assert wait_milliseconds(-3.0) == 0
    assert wait_milliseconds(1.5) == 1500
    assert wait_milliseconds(1e9) == 0xFFFFFFFE
