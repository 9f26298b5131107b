"""Requests about group managed service accounts (gMSA) of containers.

Theory of operation. A credential spec is not given to a container but to HCS, which keeps an
"instance" of a credential guard for it, under the container's id, and tells where the container
finds it; that place goes into the container's document. After the container the instance goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec import table
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podshim.hcsspec.annotations import Annotations

PROPERTY = "ContainerCredentialGuard"
LOCAL = "LRPC"
SOCKET = "HvSocket"


def credential_spec(windows: Member, annotations: Annotations) -> str:
    """The credential spec of a container; empty without.

    Only a text is one: an object counts as absent.

    Args:
        windows: The spec's `windows`.
        annotations: The container's.

    Raises:
        ShimError: There is one, and an annotation forbids them.
    """
    value = windows["credentialSpec"].value
    if not isinstance(value, str) or not value:
        return ""
    if annotations.get(table.DISABLE_GMSA):
        raise ShimError(
            "container config validation failed: gMSA credentials are disabled: operation denied"
        )
    return value


def add_instance(container_id: str, spec: str, transport: str = LOCAL) -> Json:
    """The service's settings that add a container's credential guard.

    Args:
        container_id: The container's id.
        spec: The credential spec.
        transport: How the container reaches it: `LRPC` on the host, `HvSocket` from a VM.
    """
    return _settings(
        "AddInstance",
        {"Id": container_id, "CredentialSpec": spec, "Transport": transport},
    )


def remove_instance(container_id: str) -> Json:
    """The service's settings that remove a container's credential guard."""
    return _settings("RemoveInstance", {"Id": container_id})


def find_instance(answer: Mapping[str, object], container_id: str) -> tuple[Json, Json | None]:
    """A container's credential guard in what the service tells.

    Args:
        answer: The service's properties `ContainerCredentialGuard`.
        container_id: The container's id.

    Returns:
        What goes into the container's document, and the socket service that its VM needs.

    Raises:
        ShimError: It is not there, or the answer is not what it should be.
    """
    try:
        document = Member(answer, document="answer of HCS")
        for properties in document["Properties"].objects():
            for instance in properties["Instances"].objects():
                if instance["Id"].text() == container_id:
                    return _guard(instance)
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None
    raise ShimError(f"failed to find credential guard instance with container ID {container_id}")


def _guard(instance: Member) -> tuple[Json, Json | None]:
    guard, socket = instance["CredentialGuard"], instance["HvSocketConfig"]
    members = ("Cookie", "RpcEndpoint", "Transport", "CredentialSpec")
    document = present({name: guard[name].text() for name in members})
    return document, socket.members() if socket.present else None


def _settings(operation: str, details: Json) -> Json:
    return {
        "PropertyType": PROPERTY,
        "Settings": {"Operation": operation, "OperationDetails": details},
    }
