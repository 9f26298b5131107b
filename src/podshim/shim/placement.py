"""What `start` sets on a server from outside: OOM score, cgroup, core scheduling.

Theory of operation. The kernel's out-of-memory killer shall find the shim before containerd: its
score is containerd's plus one. With the runtime option `shim_cgroup` the server is put into that
cgroup (which must exist) before it serves. With `SCHED_CORE` in the environment `start` makes a
core-scheduling cookie, which the server inherits.

`start` runs this module: `ctypes` and `tomllib` are imported only when they are asked for.
"""

import os

from podshim import wire
from podshim.shim import socketpath
from podshim.shim.dialects import GENERIC_OPTIONS, RUNC_OPTIONS

LOWEST_SCORE = -1000
HIGHEST_SCORE = 1000
_MAX_TOML = 1 << 20
_CGROUP_ROOT = "/sys/fs/cgroup"
_WHOLE_ID_RANGE = "0 0 4294967295"
_PR_SCHED_CORE = 62
_PR_SCHED_CORE_CREATE = 1
_PR_SCHED_CORE_SCOPE_PROCESS_GROUP = 2


class PlacementError(Exception):
    """The server can't be put where it was asked to be."""


def adjust_oom_score(server: int, parent: int) -> None:
    """Give a server its parent's score plus one, at most 1000.

    Args:
        server: The server's pid.
        parent: containerd's pid.

    Raises:
        PlacementError: It can't be done, though we are root outside a user namespace.
    """
    try:
        with open(f"/proc/{parent}/oom_score_adj") as file:
            score = int(file.read())
        with open(f"/proc/{server}/oom_score_adj", "w") as file:
            file.write(str(max(LOWEST_SCORE, min(score + 1, HIGHEST_SCORE))))
    except PermissionError as error:
        if os.geteuid() == 0 and not _in_user_namespace():
            raise PlacementError(f"failed to adjust OOM score for shim: {error}") from error
    except (OSError, ValueError) as error:
        raise PlacementError(f"failed to adjust OOM score for shim: {error}") from error


def _in_user_namespace() -> bool:
    try:
        with open("/proc/self/uid_map") as file:
            return " ".join(file.read().split()) != _WHOLE_ID_RANGE
    except OSError:
        return False


def shim_cgroup(options: "wire.Any | None") -> str:
    """The cgroup that the runtime options ask for; empty for none.

    Args:
        options: runc's `Options`, or `runtimeoptions.v1.Options` with TOML text or its path.

    Raises:
        PlacementError: The options can't be read.
    """
    if options is None:
        return ""
    try:
        if options.type_name == RUNC_OPTIONS:
            return wire.runc_shim_cgroup(options.value)
        if options.type_name == GENERIC_OPTIONS:
            path, body = wire.config_table(options.value)
            return _toml_cgroup(body or _read_toml(path))
    except wire.WireError as error:
        raise PlacementError(f"runtime options of type {options.type_name}: {error}") from error
    return ""


def _read_toml(path: str) -> bytes:
    if not path:
        return b""
    try:
        with open(path, "rb") as file:
            body = file.read(_MAX_TOML + 1)
    except OSError as error:
        raise PlacementError(f"runtime options: open {path}: {error.strerror}") from error
    if len(body) > _MAX_TOML:
        raise PlacementError(f"runtime options: {path} is larger than {_MAX_TOML} bytes")
    return body


def _toml_cgroup(body: bytes) -> str:
    if b"ShimCgroup" not in body:
        return ""
    import tomllib

    try:
        value = tomllib.loads(body.decode()).get("ShimCgroup", "")
    except ValueError as error:
        raise PlacementError(f"runtime options are not TOML: {error}") from error
    if not isinstance(value, str):
        raise PlacementError("runtime options: ShimCgroup is not a string")
    return value


def cgroup_folders(mountinfo: str, cgroup: str) -> list[str]:
    """Where a cgroup may be found in the mounted hierarchies.

    With cgroup v2 alone there is one folder; otherwise one in each mounted v1 hierarchy.

    Args:
        mountinfo: The text of /proc/self/mountinfo.
        cgroup: The cgroup's path below the root; `..` does not lead out of it.
    """
    inside = socketpath.clean(b"/" + os.fsencode(cgroup)).decode(errors="surrogateescape")
    folders = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        columns, kind = before.split(" "), after.split(" ")[0]
        if len(columns) < 5:
            continue
        point = columns[4]
        if kind == "cgroup2" and point == _CGROUP_ROOT:
            return [point + inside]
        if kind == "cgroup":
            folders.append(point + inside)
    return folders


def join_cgroup(cgroup: str, server: int) -> None:
    """Put a server into a cgroup, in every hierarchy that has it.

    Raises:
        PlacementError: No hierarchy has it, or the kernel refuses.
    """
    try:
        with open("/proc/self/mountinfo") as file:
            folders = cgroup_folders(file.read(), cgroup)
    except OSError as error:
        raise PlacementError(f"failed to load cgroup {cgroup}: {error}") from error
    present = [folder for folder in folders if os.path.isdir(folder)]
    if not present:
        raise PlacementError(f"failed to load cgroup {cgroup}: cgroup does not exist")
    for folder in present:
        try:
            with open(f"{folder}/cgroup.procs", "w") as file:
                file.write(str(server))
        except OSError as error:
            raise PlacementError(f"failed to join cgroup {cgroup}: {error}") from error


def schedule_together() -> None:
    """Make a core-scheduling cookie for this process group; children inherit it.

    Raises:
        PlacementError: The kernel has no core scheduling, or refuses.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    words = (_PR_SCHED_CORE_CREATE, 0, _PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0)
    if libc.prctl(_PR_SCHED_CORE, *(ctypes.c_ulong(word) for word in words)):
        raise PlacementError(f"enable sched core support: {os.strerror(ctypes.get_errno())}")
