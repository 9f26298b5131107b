"""The order of a contract that tells every exit and every deletion."""

from __future__ import annotations

import itertools

import pytest

from podshim.task.outbox import EventOrderError, Outbox, Step


def drain(outbox: Outbox[str]) -> list[str]:
    events = []
    while (event := outbox.head) is not None:
        outbox.remove(event)
        events.append(event)
    return events


@pytest.fixture
def outbox() -> Outbox[str]:
    return Outbox()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_unstarted_init_exits_before_it_is_deleted(
    outbox: Outbox[str], order: tuple[int, ...]
) -> None:
    track = outbox.full_track()
    steps = [Step.CREATE, Step.EXIT, Step.DELETE]
    for index in order:
        track.post(steps[index], steps[index].name)
    assert drain(outbox) == ["CREATE", "EXIT", "DELETE"]


def test_a_deletion_waits_for_an_exit_that_is_still_to_come(outbox: Outbox[str]) -> None:
    track = outbox.full_track()
    track.post(Step.CREATE, "create")
    track.post(Step.DELETE, "delete")
    track.post(Step.DELETE, "again")
    assert drain(outbox) == ["create"]
    assert track.holding == 2
    track.post(Step.EXIT, "exit")
    assert drain(outbox) == ["exit", "delete", "again"]
    assert track.holding == 0


def test_a_deletion_is_told_as_often_as_it_is_asked_for(outbox: Outbox[str]) -> None:
    track = outbox.full_track()
    for step in (Step.CREATE, Step.EXIT, Step.DELETE, Step.DELETE, Step.DELETE):
        track.post(step, step.name)
    assert drain(outbox) == ["CREATE", "EXIT", "DELETE", "DELETE", "DELETE"]
    with pytest.raises(EventOrderError):
        track.post(Step.EXIT, "again")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_exec_s_deletion_is_its_last(outbox: Outbox[str], order: tuple[int, ...]) -> None:
    task = outbox.full_track()
    task.post(Step.CREATE, "create")
    drain(outbox)
    track = task.exec()
    steps = [Step.CREATE, Step.START, Step.EXIT, Step.DELETE]
    track.promise_start()
    for index in order:
        track.post(steps[index], steps[index].name)
    assert drain(outbox) == ["CREATE", "START", "EXIT", "DELETE"]
    assert task.holding == 0


def test_an_unstarted_exec_is_deleted_without_an_exit(outbox: Outbox[str]) -> None:
    task = outbox.full_track()
    task.post(Step.CREATE, "create")
    track = task.exec()
    track.post(Step.CREATE, "added")
    track.post(Step.DELETE, "deleted")
    assert drain(outbox) == ["create", "added", "deleted"]


def test_an_exec_may_be_deleted_after_its_task_s_exit(outbox: Outbox[str]) -> None:
    task = outbox.full_track()
    task.post(Step.CREATE, "create")
    track = task.exec()
    track.post(Step.CREATE, "added")
    task.post(Step.EXIT, "exit")
    track.post(Step.DELETE, "deleted")
    assert drain(outbox) == ["create", "added", "exit", "deleted"]
    with pytest.raises(EventOrderError):
        track.post(Step.EXIT, "late")


def test_the_exit_of_a_task_waits_for_those_of_its_execs(outbox: Outbox[str]) -> None:
    task = outbox.full_track()
    track = task.exec()
    for step in (Step.CREATE, Step.START):
        task.post(step, step.name)
        track.post(step, f"exec {step.name}")
    drain(outbox)
    task.post(Step.EXIT, "exit")
    task.post(Step.DELETE, "delete")
    track.post(Step.DELETE, "exec delete")
    assert drain(outbox) == []
    track.post(Step.EXIT, "exec exit")
    told = drain(outbox)
    assert told.index("exec exit") < told.index("exit") < told.index("delete")
    assert told.index("exec exit") < told.index("exec delete")


def test_other_contracts_do_not_tell_the_deletion_of_execs(outbox: Outbox[str]) -> None:
    with pytest.raises(EventOrderError):
        outbox.track().exec().post(Step.DELETE, "deleted")
