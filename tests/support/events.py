"""What containerd publishes, read through `ctr events` as it comes."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self

from support.containerd import Containerd
from support.waiting import eventually

_numbers = count()


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    namespace: str
    topic: str
    fields: dict[str, Any]  # Any: JSON


class Events:
    """A subscription, from now until its end. A context manager.

    Args:
        containerd: The daemon; it runs.
    """

    def __init__(self, containerd: Containerd) -> None:
        self._containerd = containerd

    def __enter__(self) -> Self:
        self._output = tempfile.TemporaryFile()
        self._ctr = subprocess.Popen(
            self._containerd.ctr_command("events"),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        eventually(self._hears, "events come")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ctr.kill()
        self._ctr.wait()
        self._output.close()

    def _hears(self) -> bool:
        """Make an event and look for any: ctr does not say when it has subscribed."""
        label = f"beat={next(_numbers)}"
        self._containerd.ctr("namespaces", "create", "heartbeat", check=False)
        self._containerd.ctr("namespaces", "label", "heartbeat", label)
        return bool(self.all("/namespaces/"))

    def all(self, prefix: str = "/tasks/") -> list[Event]:
        """What has come so far, topics with a prefix, in order."""
        self._output.seek(0)
        events = []
        for line in self._output.read().decode().splitlines(keepends=True):
            if line.endswith("\n") and " UTC " in line:
                namespace, topic, fields = line.partition(" UTC ")[2].split(" ", 2)
                if topic.startswith(prefix):
                    events.append(Event(namespace, topic, json.loads(fields)))
        return events

    def of(self, container: str) -> list[Event]:
        """The task events of a container so far."""
        return [event for event in self.all() if event.fields.get("container_id") == container]

    def wait(self, container: str, topic: str, number: int = 1) -> list[Event]:
        """Wait for the `number`-th event of a topic; returns all of the container so far."""

        def there() -> list[Event]:
            events = self.of(container)
            return events if sum(event.topic == topic for event in events) >= number else []

        return eventually(there, f"{topic} of {container}")
