"""OCI specs with sane defaults: the `config.json` of a container, the process of an exec.

Pure: values in, plain dictionaries out, to be changed at will before they are written. What they
ask for works with runc and crun as root, in any cgroup mode, and isolates as `ctr run` does:
namespaces of its own, the usual capabilities, devices and hidden paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Any: JSON, which the caller takes apart and changes.
Spec: TypeAlias = dict[str, Any]

PROCESS_TYPE_URL = "types.containerd.io/opencontainers/runtime-spec/1/Process"
RESOURCES_TYPE_URL = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"
WINDOWS_RESOURCES_TYPE_URL = "types.containerd.io/opencontainers/runtime-spec/1/WindowsResources"

CONTAINER_TYPE = "io.kubernetes.cri.container-type"
SANDBOX_ID = "io.kubernetes.cri.sandbox-id"
GROUP = "io.containerd.runc.v2.group"

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("pid", "ipc", "uts", "mount", "network")
CAPABILITIES = (
    *("CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP"),
    *("CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"),
)
_MASKED = (
    *("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"),
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_SAFE = ("nosuid", "noexec", "nodev")
_MOUNTS = (
    ("/proc", "proc", "proc", _SAFE),
    ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666")),
    ("/dev/shm", "tmpfs", "shm", (*_SAFE, "mode=1777", "size=65536k")),  # noqa: S108 - a target
    ("/dev/mqueue", "mqueue", "mqueue", _SAFE),
    ("/sys", "sysfs", "sysfs", (*_SAFE, "ro")),
)


def process_spec(
    args: Sequence[str],
    *,
    env: Iterable[str] = (),
    cwd: str = "/",
    terminal: bool = False,
    user: tuple[int, int] = (0, 0),
) -> Spec:
    """An OCI process: what a container's init is, and what `Exec` takes.

    Args:
        args: The command and its arguments.
        env: Variables as `NAME=value`, after a sane `PATH`.
        cwd: The working folder inside the container.
        terminal: Whether it has one.
        user: The user and group ids inside the container.
    """
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": terminal,
        "user": {"uid": user[0], "gid": user[1]},
        "args": list(args),
        "env": [PATH, *(["TERM=xterm"] if terminal else []), *env],
        "cwd": cwd,
        "capabilities": {name: list(CAPABILITIES) for name in sets},
        "noNewPrivileges": True,
    }


def container_spec(
    process: Spec,
    *,
    root: str = "rootfs",
    readonly: bool = False,
    hostname: str = "",
    annotations: Mapping[str, str] | None = None,
    namespaces: Iterable[str] = NAMESPACES,
    cgroup: str = "",
    resources: Spec | None = None,
) -> Spec:
    """An OCI spec around a process.

    Args:
        process: The init, from `process_spec`.
        root: The root file system: a path, relative to the bundle or absolute.
        readonly: Whether the container may not write to it.
        hostname: The name that the container sees for its host.
        annotations: Any; `pod_annotations` makes those of Kubernetes.
        namespaces: Which namespaces are the container's own.
        cgroup: Its cgroup's path; empty lets the runtime choose.
        resources: Further members of `linux.resources`, such as `{"memory": {"limit": ...}}`.
    """
    own = list(namespaces)
    spec: Spec = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": root, "readonly": readonly},
        "mounts": [
            {"destination": target, "type": kind, "source": source, "options": list(options)}
            for target, kind, source, options in _MOUNTS
        ],
        "annotations": dict(annotations or {}),
        "linux": {
            "namespaces": [{"type": name} for name in own],
            "resources": {"devices": [{"allow": False, "access": "rwm"}], **(resources or {})},
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }
    if hostname and "uts" in own:
        spec["hostname"] = hostname
    if cgroup:
        spec["linux"]["cgroupsPath"] = cgroup
    return spec


def pod_annotations(sandbox_id: str, *, sandbox: bool = False) -> dict[str, str]:
    """The annotations by which CRI tells the place of a container in a pod.

    Args:
        sandbox_id: The id of the pod's sandbox.
        sandbox: Whether this container is the sandbox itself.
    """
    return {CONTAINER_TYPE: "sandbox" if sandbox else "container", SANDBOX_ID: sandbox_id}
