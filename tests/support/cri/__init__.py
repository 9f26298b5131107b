"""A client of containerd's CRI service, the way kubelet speaks to it, with a deadline per call."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from support.cri import cri_pb2 as api

Res = TypeVar("Res", bound=Message)

#: Generous: a call takes well under a second here; a loaded machine may take longer.
TIMEOUT = 60.0


class Cri:
    """One connection to CRI. A context manager.

    Args:
        socket: containerd's gRPC socket.
    """

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix://{socket}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def call(
        self, method: str, request: Message, answer: type[Res], service: str = "RuntimeService"
    ) -> Res:
        """Call a method of a service.

        Raises:
            grpc.RpcError: containerd's refusal, or the deadline.
        """
        stub = self._channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        response = stub(request, timeout=TIMEOUT, wait_for_ready=True)
        assert isinstance(response, answer)
        return response

    def conditions(self) -> dict[str, bool]:
        """What the runtime says of itself: `RuntimeReady`, `NetworkReady`."""
        response = self.call("Status", api.StatusRequest(), api.StatusResponse)
        return {condition.type: condition.status for condition in response.status.conditions}

    def has_image(self, name: str) -> bool:
        """Whether CRI knows an image; it learns of those that others import by an event."""
        request = api.ImageStatusRequest(image=api.ImageSpec(image=name))
        response = self.call("ImageStatus", request, api.ImageStatusResponse, "ImageService")
        return bool(response.image.id)

    def run_pod(self, config: api.PodSandboxConfig, handler: str) -> str:
        """Make a pod and start its sandbox; returns the sandbox's id."""
        request = api.RunPodSandboxRequest(config=config, runtime_handler=handler)
        return self.call("RunPodSandbox", request, api.RunPodSandboxResponse).pod_sandbox_id

    def stop_pod(self, pod: str) -> None:
        """Stop the sandbox and all that runs in the pod."""
        request = api.StopPodSandboxRequest(pod_sandbox_id=pod)
        self.call("StopPodSandbox", request, api.StopPodSandboxResponse)

    def remove_pod(self, pod: str) -> None:
        """Remove the pod with its containers."""
        request = api.RemovePodSandboxRequest(pod_sandbox_id=pod)
        self.call("RemovePodSandbox", request, api.RemovePodSandboxResponse)

    def create(
        self, pod: str, pod_config: api.PodSandboxConfig, config: api.ContainerConfig
    ) -> str:
        """Make a container in a pod; returns its id."""
        request = api.CreateContainerRequest(
            pod_sandbox_id=pod, config=config, sandbox_config=pod_config
        )
        return self.call("CreateContainer", request, api.CreateContainerResponse).container_id

    def start(self, container: str) -> None:
        """Start a container."""
        request = api.StartContainerRequest(container_id=container)
        self.call("StartContainer", request, api.StartContainerResponse)

    def stop(self, container: str, grace: int) -> None:
        """Ask a container to end, and kill it after `grace` seconds."""
        request = api.StopContainerRequest(container_id=container, timeout=grace)
        self.call("StopContainer", request, api.StopContainerResponse)

    def remove(self, container: str) -> None:
        """Remove a container."""
        request = api.RemoveContainerRequest(container_id=container)
        self.call("RemoveContainer", request, api.RemoveContainerResponse)

    def update(self, container: str, resources: api.LinuxContainerResources) -> None:
        """Change a running container's limits."""
        request = api.UpdateContainerResourcesRequest(container_id=container, linux=resources)
        self.call("UpdateContainerResources", request, api.UpdateContainerResourcesResponse)

    def status(self, container: str) -> api.ContainerStatus:
        """How a container is."""
        request = api.ContainerStatusRequest(container_id=container)
        return self.call("ContainerStatus", request, api.ContainerStatusResponse).status

    def exec(self, container: str, command: Sequence[str]) -> api.ExecSyncResponse:
        """Run a command in a container to its end."""
        request = api.ExecSyncRequest(container_id=container, cmd=command, timeout=30)
        return self.call("ExecSync", request, api.ExecSyncResponse)

    def stats(self, container: str) -> api.ContainerStats:
        """Measure a container."""
        request = api.ContainerStatsRequest(container_id=container)
        return self.call("ContainerStats", request, api.ContainerStatsResponse).stats
