"""Loop devices: a file as a block device, freed by the kernel with its last user."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOP_CTL_GET_FREE: Final = 0x4C82
_LOOP_CONFIGURE: Final = 0x4C0A
_READ_ONLY: Final = 1
_AUTOCLEAR: Final = 4
_DIRECT_IO: Final = 16

#: struct loop_config: the file, a block size of the kernel's choice, struct loop_info64, reserved.
_CONFIG: Final = struct.Struct("=II5Q4I64s64s32s2Q64x")
_ATTEMPTS: Final = 100


@contextmanager
def attached(path: str, *, read_only: bool, direct_io: bool) -> Iterator[str]:
    """Put a file behind a free loop device.

    Args:
        path: The file.
        read_only: Whether the device can't be written.
        direct_io: Whether it bypasses the page cache.

    Yields:
        The device's path. It lives until the end of the context and the last mount of it.

    Raises:
        OSError: The file, or a device, can't be had.
    """
    access = os.O_RDONLY if read_only else os.O_RDWR
    file = os.open(path, access | os.O_CLOEXEC)
    try:
        name = os.fsencode(path)[:63]
        flags = _AUTOCLEAR | (_READ_ONLY if read_only else 0) | (_DIRECT_IO if direct_io else 0)
        config = _CONFIG.pack(file, 0, *(0,) * 5, 0, 0, 0, flags, name, b"", b"", 0, 0)
        device, fd = _configured(config, access)
    finally:
        os.close(file)
    try:
        yield device
    finally:
        os.close(fd)


def _configured(config: bytes, access: int) -> tuple[str, int]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            device = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            fd = os.open(device, access | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                if error.errno == errno.EBUSY:  # somebody else was given the same device
                    continue
                raise
            return device, fd
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device", "/dev/loop-control")
