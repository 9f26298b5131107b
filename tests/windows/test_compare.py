"""Ours beside Microsoft's shim: a case of `compare/cases` is equal, or its difference is known.

Every second case is played here; all of them by `make compare-original`, which takes twice as long.
The judge is what was recorded of the original. Where the original can be had, the recording itself
is judged too: some of its cases are played again, because a recording that the original would not
repeat judges nothing.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from windows.compare import records, troupe
from windows.compare.cases import ALL, SUBJECTS
from windows.compare.judge import Difference, differences, judge
from windows.compare.known import KNOWN
from windows.compare.normal import Names
from windows.compare.usage import condensed
from windows.winebox import Box, UnavailableError, original

RECORDED: dict[str, Any] = {
    name: seen for subject in SUBJECTS for name, seen in records.load(subject).items()
}
PLAYED = [case for cases in SUBJECTS.values() for case in cases[::2]]
# Every 20th case, but none that waits half a minute for the original to give up.
SAMPLE = [case.name for case in ALL if not case.slow][::20]


@pytest.fixture(scope="module")
def ours(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ours")
    return troupe.play(machine, troupe.OURS, [case.name for case in PLAYED], folder, timeout=450)


@pytest.fixture(scope="module")
def theirs(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    try:
        shim = machine.windows_path(original.executable(machine.at))
    except UnavailableError as err:
        pytest.skip(f"no original shim here: {err}")
    return troupe.play(machine, shim, SAMPLE, tmp_path_factory.mktemp("theirs"), timeout=450)


@pytest.mark.parametrize("name", [case.name for case in PLAYED])
def test_ours_is_equal_or_listed(ours: dict[str, dict[str, Any]], name: str) -> None:
    played = ours[name]
    assert "observation" in played, played.get("failure")
    verdict = judge(name, RECORDED[name], played["observation"], KNOWN)
    assert not verdict.faults, "\n".join(verdict.faults)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_original_is_as_recorded(theirs: dict[str, dict[str, Any]], name: str) -> None:
    played = theirs[name]
    assert "observation" in played, played.get("failure")
    assert not list(differences(RECORDED[name], played["observation"]))


def test_there_are_enough_cases() -> None:
    played = Counter(
        subject.partition("_")[0]
        for subject, cases in SUBJECTS.items()
        for case in cases
        if case in PLAYED
    )
    assert min(played["process"], played["service"]) >= 60
    specs = [
        bundle.spec for case in SUBJECTS["service_documents"] for bundle in case.bundles.values()
    ]
    assert len({repr(spec) for spec in specs}) >= 25


def test_names_of_cases_are_unique_and_recorded() -> None:
    counted = Counter(case.name for case in ALL)
    assert max(counted.values()) == 1
    assert counted.keys() == RECORDED.keys()


def test_known_differences_name_cases_and_reasons() -> None:
    names = {case.name for case in ALL}
    for row in KNOWN:
        assert row.places
        assert row.places.keys() <= names
        assert all((row.what, row.theirs, row.ours, row.why))
    listed = Counter(
        (name, place) for row in KNOWN for name in row.places for place in row.places[name]
    )
    assert not [place for place, times in listed.items() if times > 1]


# -- the rules of the comparison


def test_differences_are_told_by_their_places() -> None:
    theirs = {"a": [1, {"b": 2}], "c": "x", "d": [1]}
    ours = {"a": [1, {"b": 3}], "c": "x", "d": [1, 2], "e": None}
    assert list(differences(theirs, ours)) == [
        ("a > 1 > b", 2, 3),
        ("d", [1], [1, 2]),
        ("e", "(absent)", None),
    ]
    assert list(differences([1], [True])) == [("0", 1, True)]


def _known(value: Any, place: str = "a") -> list[Difference]:
    return [Difference("name", "what", "t", "o", "w", {"case": {place: value}})]


def test_a_listed_difference_passes_only_as_it_is_listed() -> None:
    assert judge("case", {"a": 1}, {"a": 1}, []).word == "equal"
    assert judge("case", {"a": 1}, {"a": 2}, _known(2)).word == "listed: what"
    assert judge("case", {"a": 1}, {"a": 2}, []).word == "DIFFERENT"
    assert judge("case", {"a": 1}, {"a": 3}, _known(2)).word == "DIFFERENT"
    assert judge("case", {"a": 1}, {"a": 1}, _known(2)).word == "DIFFERENT"
    assert judge("other", {"a": 1}, {"a": 2}, _known(2)).word == "DIFFERENT"


def test_what_cannot_be_the_same_twice_gets_names() -> None:
    names = Names("ghkmnpqr")
    seen = {
        "pid": 77,
        "id": "pod-ghkmnpqr",
        "exited_at": "1700000000",
        "again": {"process": 77, "pid": 0},
        "path": r"\\?\Volume{3F2504E0-4F89-11D3-9A0C-0305E82C3301}\x",
        "exit_status": 77,
    }
    assert names.of(seen) == {
        "pid": "(pid 1)",
        "id": "pod-$T",
        "exited_at": "(a time)",
        "again": {"process": "(pid 1)", "pid": 0},
        "path": r"\\?\Volume{(guid 1)}\x",
        "exit_status": 77,
    }
    assert names.of({"exited_at": "0001-01-01"}) == {"exited_at": "0001-01-01"}


def test_a_usage_text_is_condensed_to_what_it_offers() -> None:
    text = (
        "Incorrect Usage.\n\nNAME:\n   tool\n\nCOMMANDS:\n   start  \n  does\n\nGLOBAL OPTIONS:\n"
        "   --id value     an id\n   --help, -h  show help\n"
    )
    assert condensed(text) == (
        "Incorrect Usage.\n\n(usage of tool; commands start; flags --help, -h, --id value)"
    )
    assert condensed("other") == "other"


def test_recordings_are_written_as_they_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    seen = {
        "case": {"steps": {"01 run": {"exit code": 0}}, "events": {}, "effects": [{"call": "x"}]}
    }
    records.save("subject", seen)
    assert records.load("subject") == seen
    assert records.load("none") == {}
