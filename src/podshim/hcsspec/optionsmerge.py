"""Runtime options that are annotations by another name.

Theory of operation. An administrator sets options of the runtime, a user annotations of a
container; some options mean the same as an annotation, and the annotation, being closer to the
container, wins. After this only annotations count. The options that have none, such as those of
scratch space, are for others than the shim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOT_FILES = "io.microsoft.virtualmachine.bootfilesrootpath"
VM_PROCESSOR_COUNT = "io.microsoft.virtualmachine.computetopology.processor.count"
VM_MEMORY = "io.microsoft.virtualmachine.computetopology.memory.sizeinmb"
NCPROXY = "io.microsoft.network.ncproxy"
NO_INHERIT_TIMEZONE = "io.microsoft.virtualmachine.wcow.timezone.noinherit"


class RuntimeOptions(Protocol):
    """What is read of `containerd.runhcs.v1.Options`."""

    @property
    def boot_files_root_path(self) -> str:
        """Where boot files of utility VMs lie."""

    @property
    def vm_processor_count(self) -> int:
        """Processors of a utility VM; 0 if not set."""

    @property
    def vm_memory_size_in_mb(self) -> int:
        """Memory of a utility VM; 0 if not set."""

    @property
    def NCProxyAddr(self) -> str:  # noqa: N802 - the message's name
        """The pipe of the network configuration proxy."""

    @property
    def no_inherit_host_timezone(self) -> bool:
        """Whether Windows VMs run in UTC instead of the host's time zone."""

    @property
    def default_container_annotations(self) -> Mapping[str, str]:
        """Annotations that every container has unless it says otherwise."""


def merge(annotations: Mapping[str, str] | None, options: RuntimeOptions | None) -> dict[str, str]:
    """The annotations with what the options say.

    Args:
        annotations: As the spec has them; they win.
        options: The runtime's options; None if there are none.
    """
    merged = dict(annotations or {})
    if options is None:
        return merged
    wanted = {}
    if options.boot_files_root_path:
        wanted[BOOT_FILES] = options.boot_files_root_path
    if options.vm_processor_count:
        wanted[VM_PROCESSOR_COUNT] = str(options.vm_processor_count)
    if options.vm_memory_size_in_mb:
        wanted[VM_MEMORY] = str(options.vm_memory_size_in_mb)
    if options.NCProxyAddr:
        wanted[NCPROXY] = options.NCProxyAddr
    if options.no_inherit_host_timezone:
        wanted[NO_INHERIT_TIMEZONE] = "true"
    for key, value in (*wanted.items(), *options.default_container_annotations.items()):
        merged.setdefault(key, value)
    return merged
