"""Events leave in the order that clients rely on, whatever order they come in."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from podshim.task.outbox import EventOrderError, ExecTrack, Outbox, Step, TaskTrack


def drain(outbox: Outbox[str]) -> list[str]:
    events = []
    while (event := outbox.head) is not None:
        outbox.remove(event)
        events.append(event)
    return events


@pytest.fixture
def outbox() -> Outbox[str]:
    return Outbox()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_init_with_a_promised_start_is_told_in_order(
    outbox: Outbox[str], order: tuple[int, ...]
) -> None:
    track = outbox.track()
    steps = [Step.CREATE, Step.START, Step.EXIT, Step.DELETE]
    track.promise_start()
    for index in order:
        track.post(steps[index], steps[index].name)
    assert drain(outbox) == ["CREATE", "START", "EXIT", "DELETE"]
    assert track.holding == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_exec_is_told_in_order(outbox: Outbox[str], order: tuple[int, ...]) -> None:
    task = outbox.track()
    track = task.exec()
    steps = [Step.CREATE, Step.START, Step.EXIT]
    for index in order:
        track.post(steps[index], steps[index].name)
    assert drain(outbox) == []
    assert task.holding == 3
    task.post(Step.CREATE, "task")
    assert drain(outbox) == ["task", "CREATE", "START", "EXIT"]


def test_the_exits_of_execs_come_before_that_of_the_init(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    task.post(Step.START, "start")
    first, second = task.exec(), task.exec()
    first.post(Step.CREATE, "added 1")
    second.post(Step.CREATE, "added 2")
    first.post(Step.START, "started 1")
    second.promise_start()
    task.post(Step.EXIT, "exit")
    task.post(Step.DELETE, "delete")
    first.post(Step.EXIT, "exit 1")
    assert "exit" not in drain(outbox)
    second.post(Step.START, "started 2")
    second.post(Step.EXIT, "exit 2")
    assert drain(outbox) == ["started 2", "exit 2", "exit", "delete"]


def test_an_exit_waits_for_a_promised_start_or_its_withdrawal(outbox: Outbox[str]) -> None:
    for fails in (False, True):
        task = outbox.track()
        task.post(Step.CREATE, "create")
        task.promise_start()
        task.post(Step.EXIT, "exit")
        assert drain(outbox) == ["create"]
        if fails:
            task.withdraw_start()
            assert drain(outbox) == ["exit"]
        else:
            task.post(Step.START, "start")
            assert drain(outbox) == ["start", "exit"]


def test_a_withdrawn_exec_holds_up_nothing(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    track = task.exec()
    track.post(Step.CREATE, "added")
    track.promise_start()
    task.post(Step.EXIT, "exit")
    drain(outbox)
    track.withdraw_start()
    assert drain(outbox) == ["exit"]


def test_without_a_start_a_task_may_end_or_go(outbox: Outbox[str]) -> None:
    killed, deleted = outbox.track(), outbox.track()
    killed.post(Step.CREATE, "create 1")
    killed.post(Step.EXIT, "exit 1")
    killed.post(Step.DELETE, "delete 1")
    deleted.post(Step.CREATE, "create 2")
    deleted.post(Step.DELETE, "delete 2")
    assert drain(outbox) == ["create 1", "exit 1", "delete 1", "create 2", "delete 2"]


def test_a_started_task_is_not_told_deleted_before_its_exit(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    task.post(Step.START, "start")
    task.post(Step.DELETE, "delete")
    assert drain(outbox) == ["create", "start"]
    task.post(Step.EXIT, "exit")
    assert drain(outbox) == ["exit", "delete"]


@pytest.mark.parametrize("step", list(Step))
def test_a_step_is_told_once(outbox: Outbox[str], step: Step) -> None:
    track = outbox.track()
    for earlier in Step:
        if earlier <= step:
            track.post(earlier, earlier.name)
    told = drain(outbox)
    with pytest.raises(EventOrderError, match=f"the {step.name} of a process was posted twice"):
        track.post(step, "again")
    assert drain(outbox) == []
    assert len(told) == step


def test_what_comes_too_late_is_refused(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    exec_track = task.exec()
    task.post(Step.EXIT, "exit")
    with pytest.raises(EventOrderError, match="a START was posted after EXIT had gone"):
        task.post(Step.START, "start")
    with pytest.raises(EventOrderError, match="the CREATE of an exec was posted after its task's"):
        exec_track.post(Step.CREATE, "added")
    with pytest.raises(EventOrderError, match="promised after its task's EXIT"):
        exec_track.promise_start()
    task.note("oom after the exit may still come")
    task.post(Step.DELETE, "delete")
    with pytest.raises(EventOrderError, match="after DELETE had gone"):
        task.note("oom")
    with pytest.raises(EventOrderError, match="deletion of an exec is not announced"):
        exec_track.post(Step.DELETE, "delete")


def test_notes_wait_for_the_creation(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.note("paused")
    assert (drain(outbox), task.holding) == ([], 1)
    task.post(Step.CREATE, "create")
    task.note("oom")
    assert drain(outbox) == ["create", "paused", "oom"]


def test_notes_wait_for_a_promised_start(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    task.promise_start()
    task.note("oom")
    task.post(Step.EXIT, "exit")
    assert (drain(outbox), task.holding) == (["create"], 2)
    task.post(Step.START, "start")
    assert drain(outbox) == ["start", "oom", "exit"]


def test_notes_go_before_the_exit_when_the_start_is_withdrawn(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.promise_start()
    task.note("oom")
    task.post(Step.EXIT, "exit")
    task.post(Step.CREATE, "create")
    assert drain(outbox) == ["create"]
    task.withdraw_start()
    assert drain(outbox) == ["oom", "exit"]


def test_notes_come_after_a_start_that_waits_for_the_creation(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.START, "start")
    task.note("oom")
    task.post(Step.CREATE, "create")
    assert drain(outbox) == ["create", "start", "oom"]


def test_tasks_do_not_wait_for_each_other(outbox: Outbox[str]) -> None:
    stuck, other = outbox.track(), outbox.track()
    stuck.post(Step.START, "held")
    other.post(Step.CREATE, "create")
    assert drain(outbox) == ["create"]


def test_a_full_outbox_loses_the_oldest_and_counts() -> None:
    outbox: Outbox[str] = Outbox(limit=3)
    task = outbox.track()
    task.post(Step.CREATE, "create")
    for number in range(4):
        task.note(f"note {number}")
    assert outbox.evicted == 2
    assert repr(outbox) == "Outbox(3 of 3 waiting, 2 evicted)"
    assert drain(outbox) == ["note 1", "note 2", "note 3"]


def test_only_the_head_is_removed_and_only_itself() -> None:
    outbox: Outbox[str] = Outbox(limit=2)
    task = outbox.track()
    task.post(Step.CREATE, "create")
    sent = outbox.head
    assert sent is not None
    task.note("a note")
    task.note("another note")  # evicts what is being sent
    outbox.remove(sent)
    assert drain(outbox) == ["a note", "another note"]


def test_it_says_when_something_is_ready() -> None:
    ready: list[int] = []
    noisy: Outbox[str] = Outbox(on_ready=lambda: ready.append(len(noisy)))
    task = noisy.track()
    task.post(Step.START, "start")
    assert ready == []
    task.post(Step.CREATE, "create")
    assert ready == [1, 2]


def test_nothing_is_kept_of_what_is_over(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    for number in range(1000):
        track = task.exec()
        track.post(Step.CREATE, f"added {number}")
        track.promise_start()
        track.post(Step.START, f"started {number}")
        track.post(Step.EXIT, f"exit {number}")
    gone = weakref.ref(track)
    del track
    assert len(drain(outbox)) == 3001
    assert "_busy" in vars(task)
    assert not task._busy
    assert gone() is None
    gone_task = weakref.ref(task)
    del task
    gc.collect()
    assert gone_task() is None


def test_tracks_say_where_they_stand(outbox: Outbox[str]) -> None:
    task = outbox.track()
    task.post(Step.CREATE, "create")
    task.promise_start()
    task.post(Step.EXIT, "exit")
    assert repr(task) == "TaskTrack(CREATE, holds EXIT)"
    assert repr(task.exec()) == "ExecTrack(, holds )"


TASKS = ("t0", "t1")
NAMES = st.sampled_from([f"{task}{exec_}" for task in TASKS for exec_ in ("", "/e0", "/e1", "/e2")])


class Interleavings(RuleBasedStateMachine):
    """Two tasks with execs, whose steps are posted in any order that a racing shim might."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox[tuple[str, Step]] = Outbox()
        self.released: list[tuple[str, Step]] = []
        self.tasks: dict[str, TaskTrack[tuple[str, Step]]] = {}
        self.execs: dict[str, ExecTrack[tuple[str, Step]]] = {}
        for name in TASKS:
            self.tasks[name] = self.outbox.track()
            for number in range(3):
                self.execs[f"{name}/e{number}"] = self.tasks[name].exec()
        self.accepted: list[tuple[str, Step]] = []
        self.promised: set[str] = set()

    def collect(self) -> None:
        while (event := self.outbox.head) is not None:
            self.outbox.remove(event)
            self.released.append(event)

    def track(self, name: str) -> TaskTrack[tuple[str, Step]] | ExecTrack[tuple[str, Step]]:
        return self.tasks[name] if name in self.tasks else self.execs[name]

    @rule(name=NAMES, step=st.sampled_from(Step))
    def post(self, name: str, step: Step) -> None:
        try:
            self.track(name).post(step, (name, step))
        except EventOrderError:
            pass
        else:
            self.accepted.append((name, step))
            if step is Step.START:
                self.promised.discard(name)
        self.collect()

    @rule(name=NAMES)
    def promise(self, name: str) -> None:
        if (name, Step.START) in self.accepted:
            return  # nobody starts a process twice
        try:
            self.track(name).promise_start()
        except EventOrderError:
            return
        self.promised.add(name)

    @precondition(lambda self: self.promised)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.promised)))
        self.promised.discard(name)
        self.track(name).withdraw_start()
        self.collect()

    @invariant()
    def steps_are_in_order(self) -> None:
        seen: dict[str, Step] = {}
        for name, step in self.released:
            assert seen.get(name, 0) < step, self.released
            seen[name] = step

    @invariant()
    def every_event_is_told_at_most_once(self) -> None:
        assert len(set(self.released)) == len(self.released)
        assert set(self.released) <= set(self.accepted)

    @invariant()
    def a_process_is_created_before_anything_else(self) -> None:
        first: dict[str, Step] = {}
        for name, step in self.released:
            first.setdefault(name, step)
            if "/" in name:
                assert name.split("/")[0] in first
        assert set(first.values()) <= {Step.CREATE}

    @invariant()
    def no_exec_lives_when_its_init_has_been_told_dead(self) -> None:
        for index, (name, step) in enumerate(self.released):
            if step is not Step.EXIT or "/" in name:
                continue
            before, after = self.released[:index], self.released[index + 1 :]
            for exec_name in self.execs:
                if exec_name.startswith(name + "/"):
                    started = (exec_name, Step.START) in before
                    assert started == ((exec_name, Step.EXIT) in before)
                    assert not any(other == exec_name for other, _ in after)

    @invariant()
    def what_is_held_is_accounted_for(self) -> None:
        held = sum(track.holding for track in self.tasks.values())
        assert len(self.released) + held == len(self.accepted)

    def teardown(self) -> None:
        """Whatever was held comes out as soon as all that it waits for has come."""
        for name in list(self.promised):
            self.track(name).withdraw_start()
        self.collect()
        for name, exec_track in self.execs.items():
            for step in (Step.CREATE, Step.START, Step.EXIT):
                wanted = step is Step.CREATE or any(n == name for n, s in self.accepted if s > step)
                started = (name, Step.START) in self.accepted
                if (name, step) in self.accepted or not (wanted or started):
                    continue
                try:
                    exec_track.post(step, (name, step))
                except EventOrderError:
                    continue  # its init has been told dead meanwhile
                self.accepted.append((name, step))
        for name, task in self.tasks.items():
            if (name, Step.CREATE) not in self.accepted:
                task.post(Step.CREATE, (name, Step.CREATE))
                self.accepted.append((name, Step.CREATE))
            if (name, Step.START) in self.accepted and (name, Step.EXIT) not in self.accepted:
                task.post(Step.EXIT, (name, Step.EXIT))
                self.accepted.append((name, Step.EXIT))
        self.collect()
        self.steps_are_in_order()
        assert sorted(self.released) == sorted(self.accepted)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(Step), max_size=20))
def test_no_list_of_steps_breaks_the_order(steps: list[Step]) -> None:
    outbox: Outbox[str] = Outbox()
    task = outbox.track()
    for step in steps:
        try:
            task.post(step, step.name)
        except EventOrderError:
            continue
    names = drain(outbox)
    order = [step.name for step in Step]
    assert names == sorted(set(names), key=order.index)
