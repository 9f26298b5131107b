"""System calls that Python's `os` lacks, each raising `OSError` with the kernel's errno.

Theory of operation: one table of ctypes prototypes, bound when first used (importing this module
loads nothing). Every function blocks for as long as the kernel does and releases the interpreter
meanwhile, so that a caller can put it in a thread. Calls that have no libc wrapper everywhere go
through `syscall` by number; from 424 on the numbers are the same on all of Linux's architectures.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_FS = 0x00000200
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x00000004
MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_IDMAP = 0x00100000
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02

_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_OPENAT2 = 437
_NR_MOUNT_SETATTR = 442


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return result


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int, data: str | None
) -> None:
    """Attach a file system, or change one."""
    result = _libc().mount(
        _encoded(source),
        _encoded(target),
        _encoded(fstype),
        ctypes.c_ulong(flags),
        _encoded(data),
    )
    _check(result, target)


def umount(target: str, flags: int = 0) -> None:
    """Detach the topmost mount at a path."""
    _check(_libc().umount2(_encoded(target), ctypes.c_int(flags)), target)


def unshare(flags: int) -> None:
    """Give the calling thread its own copy of what the flags name."""
    _check(_libc().unshare(ctypes.c_int(flags)))


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """Open a path with limits on how it may be resolved."""
    how = _OpenHow(flags, 0, resolve)
    result = _libc().syscall(
        ctypes.c_long(_NR_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(_encoded(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    return _check(result, path)


def open_tree(directory: int, path: str, flags: int) -> int:
    """Get a descriptor of a mount, or with OPEN_TREE_CLONE of a detached copy."""
    result = _libc().syscall(
        ctypes.c_long(_NR_OPEN_TREE),
        ctypes.c_int(directory),
        ctypes.c_char_p(_encoded(path)),
        ctypes.c_uint(flags | OPEN_TREE_CLOEXEC),
    )
    return _check(result, path)


def move_mount(tree: int, target: str) -> None:
    """Attach a detached mount at a path."""
    result = _libc().syscall(
        ctypes.c_long(_NR_MOVE_MOUNT),
        ctypes.c_int(tree),
        ctypes.c_char_p(b""),
        ctypes.c_int(-100),  # AT_FDCWD
        ctypes.c_char_p(_encoded(target)),
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
    )
    _check(result, target)


def mount_setattr(tree: int, *, set_: int, userns: int = -1, recursive: bool = False) -> None:
    """Change the attributes of the mount behind a descriptor."""
    attributes = _MountAttr(set_, 0, 0, max(userns, 0))
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    result = _libc().syscall(
        ctypes.c_long(_NR_MOUNT_SETATTR),
        ctypes.c_int(tree),
        ctypes.c_char_p(b""),
        ctypes.c_uint(flags),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result)


def set_child_subreaper(enabled: bool) -> bool:
    """Make orphaned descendants children of this process, or not; returns how it was before."""
    before = ctypes.c_int()
    _check(_libc().prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0))
    _check(_libc().prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(enabled), 0, 0, 0))
    return bool(before.value)


def before_exec(death_signal: int) -> Callable[[], None]:
    """Prepare what a child has to call between fork and exec.

    It makes the child die when its parent dies, and ignore no signal: what this process ignores,
    or was told to ignore when it was started (`nohup`, a shell's `&`), would reach the container,
    where a shell could not even trap it.

    Everything is looked up before the fork, and the call keeps the interpreter's lock
    (`PyDLL`): in the child of a process with threads there is nobody to give it back.

    Args:
        death_signal: What the kernel sends to the child at the end of the *thread* that forked it.

    Returns:
        The function; it raises ChildProcessError in a child whose parent is gone already.
    """
    prctl = ctypes.PyDLL(None).prctl
    zero = ctypes.c_ulong(0)
    number = ctypes.c_ulong(death_signal)
    parent = os.getpid()
    getppid = os.getppid
    ignored = [one for one in signal.valid_signals() if signal.getsignal(one) is signal.SIG_IGN]
    set_handler, default = signal.signal, signal.SIG_DFL

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, number, zero, zero, zero)
        for one in ignored:
            set_handler(one, default)
        if getppid() != parent:
            raise ChildProcessError

    return arm
