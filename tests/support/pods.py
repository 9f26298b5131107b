"""Pods by CRI, as kubelet makes them, without a network of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import grpc

from support import census
from support.containerd import Containerd, Runtime
from support.cri import Cri, cri_pb2 as api
from support.image import BUSYBOX, PAUSE
from support.waiting import eventually

K8S = "k8s.io"
_numbers = count()


class Pod:
    """A pod whose sandbox runs.

    Args:
        containerd: The daemon; it has the images in the namespace `k8s.io`.
        runtime: What runs its containers.
        name: Its name, another one for each pod of the daemon.
    """

    def __init__(self, containerd: Containerd, runtime: Runtime, name: str) -> None:
        self.containerd = containerd
        self.cri = Cri(containerd.socket)
        self.logs = containerd.folder / "pods" / name
        node = api.NamespaceOption(network=api.NODE)
        self.config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=name, uid=name, namespace="tests"),
            log_directory=str(self.logs),
            linux=api.LinuxPodSandboxConfig(
                cgroup_parent=f"/{containerd.tag}-{name}",
                security_context=api.LinuxSandboxSecurityContext(namespace_options=node),
            ),
        )
        self.wait_ready()
        self.sandbox = self.cri.run_pod(self.config, runtime.name)

    def wait_ready(self) -> None:
        """Wait until CRI is ready, at first and after a restart."""
        eventually(self._ready, "CRI is ready")

    def _ready(self) -> bool:
        try:
            ready = self.cri.conditions().get("RuntimeReady", False)
            return ready and all(map(self.cri.has_image, (PAUSE, BUSYBOX)))
        except grpc.RpcError:
            return False  # its socket is there before its service

    def container(
        self, name: str, command: Sequence[str], *, memory: int = 64 << 20, start: bool = True
    ) -> str:
        """Create a container, and start it; returns its id."""
        node = api.NamespaceOption(network=api.NODE)
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name),
            image=api.ImageSpec(image=BUSYBOX),
            command=command,
            log_path=f"{name}.log",
            linux=api.LinuxContainerConfig(
                resources=api.LinuxContainerResources(memory_limit_in_bytes=memory),
                security_context=api.LinuxContainerSecurityContext(namespace_options=node),
            ),
        )
        container = self.cri.create(self.sandbox, self.config, config)
        if start:
            self.cri.start(container)
        return container

    def log(self, name: str) -> list[str]:
        """What a container has written, without CRI's time stamps, line by line."""
        path = self.logs / f"{name}.log"
        if not path.exists():
            return []
        return [line.split(" ", 3)[3] for line in path.read_text().splitlines()]

    def init(self, container: str) -> census.Process:
        """A container's first process."""
        pid = int((self.bundle(container) / "init.pid").read_text())
        return census.processes()[pid]

    def bundle(self, container: str) -> Path:
        """Where a container's bundle is."""
        return self.containerd.bundle(K8S, container)

    def ended(self, container: str) -> int:
        """Wait until CRI says that a container has ended; returns its exit status."""
        eventually(
            lambda: self.cri.status(container).state == api.CONTAINER_EXITED,
            f"{container} has ended",
        )
        return self.cri.status(container).exit_code


@contextmanager
def pod(containerd: Containerd, runtime: Runtime, name: str) -> Iterator[Pod]:
    """A pod that is stopped and removed at the end."""
    containerd.load_images(K8S)
    made = Pod(containerd, runtime, f"{name}-{next(_numbers)}")
    with made.cri:
        try:
            yield made
        finally:
            made.cri.stop_pod(made.sandbox)
            made.cri.remove_pod(made.sandbox)
