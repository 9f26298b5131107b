"""This machine's time zone."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref
from ctypes.wintypes import DWORD, LONG, WCHAR, WORD

from podshim.win32.binding import Library, failure, last_error

_INVALID = 0xFFFFFFFF


class SystemTime(ctypes.Structure):
    """SYSTEMTIME; in a time zone, when a change comes each year."""

    _fields_ = (
        ("year", WORD),
        ("month", WORD),
        ("day_of_week", WORD),
        ("day", WORD),
        ("hour", WORD),
        ("minute", WORD),
        ("second", WORD),
        ("milliseconds", WORD),
    )


class TimeZone(ctypes.Structure):
    """TIME_ZONE_INFORMATION; biases are in minutes."""

    _fields_ = (
        ("bias", LONG),
        ("standard_name", WCHAR * 32),
        ("standard_date", SystemTime),
        ("standard_bias", LONG),
        ("daylight_name", WCHAR * 32),
        ("daylight_date", SystemTime),
        ("daylight_bias", LONG),
    )


_get = Library("kernel32.dll").function("GetTimeZoneInformation", DWORD, POINTER(TimeZone))


def time_zone() -> TimeZone:
    """The time zone.

    Raises:
        OSError: Windows does not tell, or this is not Windows.
    """
    zone = TimeZone()
    if _get(byref(zone)) == _INVALID:
        raise failure(last_error(), "time zone")
    return zone
