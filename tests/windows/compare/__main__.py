"""The command: the table of all cases, and new recordings.

`python -m windows.compare` plays ours and the original (or takes its recording, where it can't be
had or with `--recorded`) and prints each case's verdict; with `--record` it records the original
anew, with `--list ROW` it files what is different and not known under a row of `known`. Names of
cases or subjects restrict it to these.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from windows.compare import records, troupe
from windows.compare.cases import ALL, SUBJECTS
from windows.compare.judge import differences, judge
from windows.compare.known import KNOWN, PLACES, save
from windows.winebox import Box, UnavailableError, open_box, original


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 1 if a case is different."""
    parser = argparse.ArgumentParser(prog="python -m windows.compare", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record the original anew")
    parser.add_argument("--recorded", action="store_true", help="don't run the original")
    parser.add_argument("--list", metavar="ROW", help="file what is different under this row")
    parser.add_argument("names", nargs="*", help="cases or subjects; all if none is given")
    options = parser.parse_args(arguments)
    subjects = {
        subject: [
            case.name
            for case in cases
            if not options.names or {case.name, subject} & set(options.names)
        ]
        for subject, cases in SUBJECTS.items()
    }
    names = [name for chosen in subjects.values() for name in chosen]
    try:
        with tempfile.TemporaryDirectory() as folder:
            if options.record:
                return _record(subjects, names, Path(folder))
            if options.list:
                return _list(options.list, names, Path(folder))
            return _table(names, Path(folder), live=not options.recorded)
    except UnavailableError as err:
        print(f"no Windows environment here: {err}", file=sys.stderr)
        return 2


def _record(subjects: dict[str, list[str]], names: list[str], folder: Path) -> int:
    box = open_box()
    shim = box.windows_path(original.executable(box.at))
    played = troupe.play(box, shim, names, folder)
    failed = {name: one["failure"] for name, one in played.items() if "failure" in one}
    for subject, chosen in subjects.items():
        if not chosen:
            continue
        seen = records.load(subject)
        seen |= {name: played[name]["observation"] for name in chosen if name not in failed}
        order = [case.name for case in SUBJECTS[subject] if case.name in seen]
        records.save(subject, {name: seen[name] for name in order})
    for name, text in failed.items():
        print(f"{name} could not be played: {text}", file=sys.stderr)
    print(f"recorded {len(names) - len(failed)} cases of the original {records.VERSION}")
    return bool(failed)


def _recorded() -> dict[str, Any]:
    return {name: seen for subject in SUBJECTS for name, seen in records.load(subject).items()}


def _list(row: str, names: list[str], folder: Path) -> int:
    if row not in {known.name for known in KNOWN}:
        print(f"no such row: {row}", file=sys.stderr)
        return 2
    theirs = _recorded()
    played = troupe.play(open_box(), troupe.OURS, names, folder)
    places = {name: dict(cases) for name, cases in PLACES.items()}
    for case in names:
        filed = {place for cases in places.values() for place in cases.get(case, {})}
        for place, their, our in differences(theirs[case], played[case]["observation"]):
            if place not in filed:
                print(f"{case}: {place}\n  theirs: {their!r}\n  ours:   {our!r}")
                places.setdefault(row, {}).setdefault(case, {})[place] = our
    save(places)
    return 0


def _table(names: list[str], folder: Path, *, live: bool) -> int:
    box = open_box()
    shim = _original(box) if live else None
    theirs = _recorded()
    if shim is not None:
        theirs |= _observed(box, shim, names, folder)
    played = troupe.play(box, troupe.OURS, names, folder)
    ours = {name: played[name].get("observation", played[name]) for name in names}
    verdicts = {name: judge(name, theirs.get(name), ours[name], KNOWN) for name in names}
    different = [name for name in names if verdicts[name].faults]
    if different and shim is not None:
        # The original may race with itself, such as its answer to Shutdown with its own end.
        for name, seen in _observed(box, shim, different, folder).items():
            verdicts[name] = judge(name, seen, ours[name], KNOWN)
    width = max(len(name) for name in names)
    parts = {case.name: case.part for case in ALL}
    for name, verdict in verdicts.items():
        twice = " (the original was played twice)" if name in different and live else ""
        print(f"{name:{width}}  {parts[name]:18}  {verdict.word}{twice}")
        for fault in verdict.faults:
            print("    " + fault.replace("\n", "\n    "))
    left = sum(bool(verdict.faults) for verdict in verdicts.values())
    print(f"{len(names)} cases, {left} different")
    return bool(left)


def _original(box: Box) -> str | None:
    """The path of the original, where it can be had."""
    try:
        return box.windows_path(original.executable(box.at))
    except UnavailableError as err:
        print(f"compared with its recording: {err}", file=sys.stderr)
        return None


def _observed(box: Box, shim: str, names: list[str], folder: Path) -> dict[str, Any]:
    """What was observed of a shim in the cases that could be played."""
    played = troupe.play(box, shim, names, folder)
    return {name: one["observation"] for name, one in played.items() if "observation" in one}


if __name__ == "__main__":
    sys.exit(main())
