"""A private world for the tests: nothing of the machine is touched, nothing is left behind.

Theory of operation. Tests of a shim mount, make sockets under `/run`, leave processes that outlive
their parents, and die at bad moments. So `enter` forks before the first test:

    pytest as it was started           waits, and passes the exit status on
      warden: pid 1 of a namespace     reaps every orphan; when the tests are over it looks for what
        pytest                         they left, says so, and ends: the kernel then ends the rest

All three live in mount, network and pid namespaces of their own: `/run` is an empty tmpfs there
(so `/run/containerd/s`, `/run/runc` and `/run/netns` are private), `/proc` shows these processes
alone, loopback is the whole network. cgroups can't be made private that way: tests name theirs
after the containerd namespace that they use, and remove them.

cgroup2's own tree at `/sys/fs/cgroup/unified` of a hybrid machine is unmounted in the namespace,
because crun refuses a hybrid; what remains is what both runc and crun accept. A tmpfs takes its
place: crun makes folders there all the same.

Asked to end (SIGTERM), the warden first tells which processes there are and has pytest show where
it stands, because a run that is ended from outside is often one that hangs.
"""

import contextlib
import ctypes
import faulthandler
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

#: Set for all processes inside, so that a nested pytest (or a worker of one) stays where it is.
MARK = "PODSHIM_PRIVATE_WORLD"
#: How long processes that are on their way out may take after the last test (s).
LEAVING = 10.0
#: How long pytest may take to show where it stands (s).
SHOWING = 2.0


def enter() -> str:
    """Go on in a private world, in a child process; the caller's process never returns.

    Call it before any thread exists.

    Returns:
        Empty, or why there is no private world (then nothing was changed).
    """
    if os.environ.get(MARK) == "1":
        return ""
    if os.geteuid() != 0:
        return "needs root"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID):
        return f"needs namespaces of its own: unshare: {os.strerror(ctypes.get_errno())}"
    warden = os.fork()
    if warden:
        _pass_on(warden)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _arrange(libc)
    os.environ[MARK] = "1"
    before = frozenset(mounts())
    tests = os.fork()
    if tests:
        _guard(tests, before)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Descriptor 2 is the run's own now; during a test it is what the test prints.
    faulthandler.register(signal.SIGQUIT, os.dup(2), all_threads=True)
    # A shell's `&` has its commands ignore it, and so would all programs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return ""


def mounts() -> list[str]:
    """The mount points of this mount namespace, one entry for each mount, in their order."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def _arrange(libc: ctypes.CDLL) -> None:
    def mount(source: str, target: str, kind: str, flags: int) -> None:
        if libc.mount(source.encode(), target.encode(), kind.encode(), flags, None):
            raise OSError(ctypes.get_errno(), f"mount {target}")

    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV)
    if Path("/sys/fs/cgroup/unified").is_dir():
        libc.umount2(b"/sys/fs/cgroup/unified", 0)
        mount("tmpfs", "/sys/fs/cgroup/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    with socket.socket() as any_socket:
        flags = struct.pack("16sH14x", b"lo", 0)
        (up,) = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, flags), 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", up | IFF_UP))


def _pass_on(warden: int) -> NoReturn:
    """Wait for the warden; a request to end reaches pytest through the terminal or the warden."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(warden, signal.SIGTERM))
    _, status = os.waitpid(warden, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _guard(tests: int, before: frozenset[str]) -> NoReturn:
    """Reap until the tests are over, then report what they left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end(tests))
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == tests:
            break
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(status)
    left = [*_processes_left(), *_mounts_left(before), *_sockets_left()]
    if left:
        sys.stderr.write("\nLeft behind:\n" + "".join(f"  {item}\n" for item in left))
        sys.stderr.flush()
        code = code or 1
    os._exit(code if code >= 0 else 128 - code)


def _end(tests: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and pytest may be gone then
    running = "".join(f"  {item}\n" for item in _processes())
    sys.stderr.write(f"\nAsked to end. Running:\n{running}")
    sys.stderr.flush()
    with contextlib.suppress(ProcessLookupError):
        os.kill(tests, signal.SIGQUIT)
        time.sleep(SHOWING)
        os.kill(tests, signal.SIGTERM)


def _processes_left() -> list[str]:
    deadline = time.monotonic() + LEAVING
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        left = _processes()
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _processes() -> list[str]:
    """All other processes of this world, described."""
    return [
        f"process {pid}: {_command(pid)}"
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if pid != os.getpid() and _command(pid)
    ]


def _command(pid: int) -> str:
    """The command line of a process; empty for a zombie or one that has gone."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def _mounts_left(before: frozenset[str]) -> list[str]:
    return [f"mount {target}" for target in mounts() if target not in before]


def _sockets_left() -> list[str]:
    return [f"socket {path}" for path in Path("/run").rglob("*") if path.is_socket()]
