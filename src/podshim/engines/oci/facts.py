"""What the engine must know of a container's `config.json`. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpecFacts:
    """What the engine must know of a container's `config.json`.

    Args:
        shared_pids: Whether it has no pid namespace of its own, so that its processes outlive the
            init. An unreadable spec counts as shared: killing too much is better than a leak.
        labelled: Whether its init has an SELinux label.
    """

    shared_pids: bool = True
    labelled: bool = False

    @classmethod
    def of(cls, spec: dict[str, object]) -> SpecFacts:
        """Read them from a spec, whatever it looks like."""
        linux, process = spec.get("linux"), spec.get("process")
        namespaces = linux.get("namespaces") if isinstance(linux, dict) else None
        private = any(
            isinstance(item, dict) and item.get("type") == "pid" and not item.get("path")
            for item in (namespaces if isinstance(namespaces, list) else [])
        )
        label = process.get("selinuxLabel") if isinstance(process, dict) else None
        return cls(shared_pids=not private, labelled=bool(label))
