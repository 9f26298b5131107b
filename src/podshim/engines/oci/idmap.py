"""Mounts whose files appear to belong to other ids (Linux 5.12).

Theory of operation. The kernel takes the mapping from a user namespace, so one is made: a child
process that does nothing but be in it, which is ended as soon as there is a descriptor of the
namespace. The child is a bare clone(2) that has all descriptors of this process: it waits in
pause(2), and dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import syscalls

if TYPE_CHECKING:
    from podshim.engines.oci.mountoptions import IdMap

_CLONE_NEWUSER: Final = 0x10000000
_NR_CLONE: Final = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "ppc64le": 120}


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def user_namespace(mapping: IdMap) -> int:
    """Make a user namespace with a mapping, and return a descriptor of it; in any thread.

    Raises:
        OSError: The kernel refuses, or the machine's clone(2) is not known.
    """
    number = _NR_CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "id-mapped mounts are not supported on this machine")
    # These calls keep the interpreter's lock, so the child owns it and needs nobody to get it.
    libc = ctypes.PyDLL(None, use_errno=True)
    syscall, pause, prctl = libc.syscall, libc.pause, libc.prctl
    parent = os.getpid()
    flags = ctypes.c_ulong(_CLONE_NEWUSER | signal.SIGCHLD)
    zero = ctypes.c_ulong(0)
    pid = syscall(ctypes.c_long(number), flags, zero, zero, zero, zero)
    if pid == 0:
        prctl(syscalls.PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), zero, zero, zero)
        while os.getppid() == parent:
            pause()
        os._exit(0)
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        _write(f"/proc/{pid}/uid_map", mapping.uids)
        _write(f"/proc/{pid}/gid_map", mapping.gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # the reaper may be quicker
            os.waitpid(pid, 0)


def mount_mapped(source: str, target: str, mapping: IdMap, *, read_only: bool = False) -> None:
    """Mount a copy of what is at `source`, with mapped ids, at `target`.

    Raises:
        OSError: The kernel refuses, such as for a file system that can't map ids.
    """
    namespace = user_namespace(mapping)
    try:
        tree = syscalls.open_tree(-100, source, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
        try:
            attributes = syscalls.MOUNT_ATTR_IDMAP
            if read_only:
                attributes |= syscalls.MOUNT_ATTR_RDONLY
            syscalls.mount_setattr(tree, set_=attributes, userns=namespace, recursive=True)
            syscalls.move_mount(tree, target)
        finally:
            os.close(tree)
    finally:
        os.close(namespace)
