"""Bundles as containerd makes them: the folder of a container, and its end.

Theory of operation. Below a state folder each container has
`io.containerd.runtime.v2.task/NAMESPACE/ID` with `config.json`, an empty `rootfs` to mount on,
`work` (a link to a lasting folder below another root) and, on Linux, `log`, a fifo whose reader is
the daemon. What a shim logs is collected here, from there or, on Windows, from its pipe. The
manager adds what containerd adds after a start: `shim-binary-path` and `bootstrap.json`, from which
a restarted daemon finds the shim.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from podshim.bundle import CONFIG, ROOTFS, Bundle
from podshim.manager import platform
from podshim.manager.dialects import Answer
from podshim.task.identifiers import check_identifier

if TYPE_CHECKING:
    from podshim.manager.spec import Spec

_KIND = "io.containerd.runtime.v2.task"
#: containerd's modes: whoever is root in a user namespace may pass, nobody may look.
_PASSABLE = 0o711


class ContainerBundle(Bundle):
    """A bundle that the manager owns.

    Args:
        folder: The manager's folder: bundles are made below `state`, work folders below `root`.
        namespace: containerd's namespace.
        container_id: The container's id.
        spec: What `config.json` holds; None makes none, as for a sandbox without a container.

    Raises:
        InvalidArgumentError: An id that containerd would refuse.
        OSError: It can't be made, or there is one; nothing is left behind.
    """

    __slots__ = ("id", "log", "namespace", "work")

    def __init__(self, folder: str, namespace: str, container_id: str, spec: Spec | None) -> None:
        check_identifier(namespace)
        check_identifier(container_id)
        parents = [os.path.join(folder, top, _KIND, namespace) for top in ("state", "root")]
        for parent in parents:
            _make_parents(parent)
        super().__init__(os.path.join(parents[0], container_id))
        self.namespace = namespace
        self.id = container_id
        self.work = os.path.join(parents[1], container_id)
        os.mkdir(self.path, 0o700)
        try:
            self._fill(spec)
        except BaseException:
            shutil.rmtree(self.path)
            shutil.rmtree(self.work, ignore_errors=True)
            raise

    def _fill(self, spec: Spec | None) -> None:
        os.chmod(self.path, 0o700)
        group = _root_group(spec or {})
        if group:
            platform.give_to_group(self.path, group)
        shutil.rmtree(self.work, ignore_errors=True)
        for path in (self.work, self.rootfs):
            os.mkdir(path)
            os.chmod(path, _PASSABLE)
        platform.link(self.work, self.file("work"))
        if spec is not None:
            with open(self.file(CONFIG), "w", encoding="utf-8") as file:
                json.dump(spec, file)
        self.log = platform.LogReader(self.path, self.namespace, self.id)

    def write_start(self, binary: str, answer: Answer) -> None:
        """Keep what a restarted daemon needs to find the shim."""
        fields = {
            "version": answer.version,
            "address": answer.address,
            "protocol": answer.protocol,
        }
        self.write("shim-binary-path", binary.encode("utf-8", "surrogateescape"))
        self.write("bootstrap.json", json.dumps(fields).encode(), 0o644)

    def read_start(self) -> Answer:
        """What `write_start` kept.

        Raises:
            OSError, ValueError, KeyError: It was not, or not this.
        """
        fields = json.loads(self.read("bootstrap.json", 1 << 16))
        return Answer(int(fields["version"]), str(fields["address"]), str(fields["protocol"]))

    def remove(self) -> None:
        """Unmount what is mounted in the bundle and remove it and its work folder.

        Again is no error.

        Raises:
            OSError: Something can't be removed, or was put into `rootfs` beside a mount: that is
                nobody's to remove.
        """
        self.log.close()
        platform.clear(self.path)
        for path in (self.path, self.work):
            if os.path.lexists(path):
                if os.path.lexists(os.path.join(path, ROOTFS)):
                    os.rmdir(os.path.join(path, ROOTFS))
                hidden = os.path.join(os.path.dirname(path), f".{self.id}")
                os.rename(path, hidden)
                shutil.rmtree(hidden)


def _make_parents(path: str) -> None:
    """Make folders as containerd makes them: everybody may pass, nobody may look."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        os.mkdir(folder)
        os.chmod(folder, _PASSABLE)


def _root_group(spec: dict[str, Any]) -> int:  # Any: JSON
    """The host's group for the container's group 0; 0 when they are the same."""
    for mapping in (spec.get("linux") or {}).get("gidMappings") or ():
        if mapping["containerID"] == 0:
            return int(mapping["hostID"])
    return 0
