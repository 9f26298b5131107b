"""Which shim hosts a container: the annotations of its spec, read by each platform's rule.

Theory of operation. On Linux containers are *grouped*: those with the same group value in one
namespace share a shim, and whichever comes first starts it. On Windows a container is a pod's
sandbox, or a container *of* a pod (which can only join a shim that runs already), or neither.
Both rules are containerd's and hcsshim's own, to the letter, because clients rely on them.

Pure, and free of imports: `start` runs it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "io.containerd.runc.v2.group"
SANDBOX_ID = "io.kubernetes.cri.sandbox-id"
CONTAINER_TYPE = "io.kubernetes.cri.container-type"

NONE = "none"
SANDBOX = "sandbox"
CONTAINER = "container"


class MembershipError(ValueError):
    """The annotations contradict each other."""


def linux_group(annotations: "Mapping[str, str]", container_id: str) -> str:
    """The group that a container belongs to on Linux.

    The first key that is *present* decides, and its value is taken as it is. An empty value is a
    value: all containers of the namespace that carry it share a shim. The value is any text that
    a client chose; it may name a group, never a file.

    Args:
        annotations: Of the container's spec.
        container_id: The group of a container that no annotation puts into one.
    """
    for key in (GROUP, SANDBOX_ID):
        if key in annotations:
            return annotations[key]
    return container_id


def windows_place(annotations: "Mapping[str, str]") -> tuple[str, str]:
    """A container's place in a pod on Windows.

    Args:
        annotations: Of the container's spec.

    Returns:
        NONE, SANDBOX or CONTAINER, and the sandbox's id (empty for NONE).

    Raises:
        MembershipError: One annotation without the other, or an unknown container type.
    """
    sandbox_id = annotations.get(SANDBOX_ID, "")
    if CONTAINER_TYPE not in annotations:
        if sandbox_id:
            raise MembershipError(f"cannot specify '{SANDBOX_ID}' without '{CONTAINER_TYPE}'")
        return NONE, ""
    place = annotations[CONTAINER_TYPE]
    if place not in {SANDBOX, CONTAINER}:
        raise MembershipError(f"invalid '{CONTAINER_TYPE}': '{place}'")
    if not sandbox_id:
        raise MembershipError(f"cannot specify '{CONTAINER_TYPE}' without '{SANDBOX_ID}'")
    return place, sandbox_id


def windows_host(annotations: "Mapping[str, str]", container_id: str) -> tuple[str, bool]:
    """Whose shim serves a container on Windows.

    Args:
        annotations: Of the container's spec.
        container_id: The id that containerd gave.

    Returns:
        The id that names the shim, and whether that shim must exist already.

    Raises:
        MembershipError: The annotations contradict each other or the id.
    """
    place, sandbox_id = windows_place(annotations)
    if place == CONTAINER:
        return sandbox_id, True
    if place == SANDBOX and sandbox_id != container_id:
        raise MembershipError(
            f"'id' and '{SANDBOX_ID}' must match for '{CONTAINER_TYPE}={SANDBOX}'"
        )
    return container_id, False
