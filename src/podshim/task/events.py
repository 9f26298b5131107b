"""The events that containerd's clients live on: their topics, messages and times.

Theory of operation. An `Event` is complete when it is made: its time is that of what happened, not
of the sending, and its message is serialised already, so that a long queue stays small. The
`Announcer` makes them and hands them to a track, which knows their order (`outbox`). An
announcement never fails its caller: an event out of order is a bug that is logged, not an error of
the operation that it tells of.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from podshim.api import events_pb2, types_pb2
from podshim.engine import TypedValue
from podshim.task.outbox import EventOrderError, ExecTrack, Step, TaskTrack

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from podshim.engine import CreateRequest, Exit, Mount

_log = logging.getLogger(__name__)

#: Go's zero time, January of the year 1: what containerd reads as "not yet".
ZERO_TIME_SECONDS = -62135596800


def timestamp(at: int | None) -> Timestamp:
    """Translate a time.

    Args:
        at: In ns since the epoch; None is Go's zero time.
    """
    if at is None:
        return Timestamp(seconds=ZERO_TIME_SECONDS)
    return Timestamp(seconds=at // 1_000_000_000, nanos=at % 1_000_000_000)


def typed(message: Message) -> TypedValue:
    """Pack a message as containerd does: under its bare name."""
    return TypedValue(message.DESCRIPTOR.full_name, message.SerializeToString())


# Compared by identity: two events of the same content are still two events.
@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One event.

    Args:
        topic: Such as `/tasks/exit`.
        message: A `containerd.events` message.
        at: When it happened, in ns since the epoch.
    """

    topic: str
    message: TypedValue
    at: int


class Announcer:
    """Makes the events of one shim's tasks and posts them on their tracks.

    Args:
        clock: Tells the time in ns since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock

    def created(self, track: TaskTrack[Event], request: CreateRequest, pid: int) -> None:
        """Announce that a container exists and waits to be started."""
        message = events_pb2.TaskCreate(
            container_id=request.id,
            bundle=request.bundle.path,
            rootfs=[_mount(mount) for mount in request.rootfs],
            io=events_pb2.TaskIO(
                stdin=request.stdio.stdin,
                stdout=request.stdio.stdout,
                stderr=request.stdio.stderr,
                terminal=request.stdio.terminal,
            ),
            checkpoint=request.checkpoint,
            pid=pid,
        )
        self._post(track, Step.CREATE, "/tasks/create", message)

    def started(self, track: TaskTrack[Event], task: str, pid: int) -> None:
        """Announce that an init runs, or has run."""
        message = events_pb2.TaskStart(container_id=task, pid=pid)
        self._post(track, Step.START, "/tasks/start", message)

    def exec_added(self, track: ExecTrack[Event], task: str, exec_id: str) -> None:
        """Announce that an exec exists and waits to be started."""
        message = events_pb2.TaskExecAdded(container_id=task, exec_id=exec_id)
        self._post(track, Step.CREATE, "/tasks/exec-added", message)

    def exec_started(self, track: ExecTrack[Event], task: str, exec_id: str, pid: int) -> None:
        """Announce that an exec runs, or has run."""
        message = events_pb2.TaskExecStarted(container_id=task, exec_id=exec_id, pid=pid)
        self._post(track, Step.START, "/tasks/exec-started", message)

    def exited(
        self, track: TaskTrack[Event] | ExecTrack[Event], task: str, name: str, pid: int, end: Exit
    ) -> None:
        """Announce a process's end; `name` is the task's id for its init, else the exec's."""
        message = events_pb2.TaskExit(
            container_id=task,
            id=name,
            pid=pid,
            exit_status=end.status,
            exited_at=timestamp(end.at),
        )
        self._post(track, Step.EXIT, "/tasks/exit", message)

    def deleted(
        self,
        track: TaskTrack[Event] | ExecTrack[Event],
        task: str,
        pid: int,
        end: Exit | None,
        exec_id: str = "",
    ) -> None:
        """Announce that a container is gone, or in contracts that tell it, an exec."""
        message = events_pb2.TaskDelete(
            container_id=task,
            id=exec_id,
            pid=pid,
            exit_status=end.status if end else 0,
            exited_at=timestamp(end.at if end else None),
        )
        self._post(track, Step.DELETE, "/tasks/delete", message)

    def paused(self, track: TaskTrack[Event], task: str) -> None:
        """Announce that a container's processes are frozen."""
        self._note(track, "/tasks/paused", events_pb2.TaskPaused(container_id=task))

    def resumed(self, track: TaskTrack[Event], task: str) -> None:
        """Announce that a container's processes run again."""
        self._note(track, "/tasks/resumed", events_pb2.TaskResumed(container_id=task))

    def checkpointed(self, track: TaskTrack[Event], task: str, path: str) -> None:
        """Announce that a container's state has been written."""
        message = events_pb2.TaskCheckpointed(container_id=task, checkpoint=path)
        self._note(track, "/tasks/checkpointed", message)

    def out_of_memory(self, track: TaskTrack[Event], task: str) -> None:
        """Announce that the kernel has killed for want of memory."""
        self._note(track, "/tasks/oom", events_pb2.TaskOOM(container_id=task))

    def _post(
        self,
        track: TaskTrack[Event] | ExecTrack[Event],
        step: Step,
        topic: str,
        message: Message,
    ) -> None:
        try:
            track.post(step, Event(topic, typed(message), self.clock()))
        except EventOrderError:
            _log.exception("not announced: %s %s", topic, message)

    def _note(self, track: TaskTrack[Event], topic: str, message: Message) -> None:
        try:
            track.note(Event(topic, typed(message), self.clock()))
        except EventOrderError:
            _log.exception("not announced: %s %s", topic, message)


def _mount(mount: Mount) -> types_pb2.Mount:
    return types_pb2.Mount(
        type=mount.type, source=mount.source, target=mount.target, options=mount.options
    )
