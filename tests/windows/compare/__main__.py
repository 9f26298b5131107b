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
from windows.winebox import UnavailableError, open_box, original


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
    theirs = _recorded()
    if live:
        try:
            shim = box.windows_path(original.executable(box.at))
        except UnavailableError as err:
            print(f"compared with its recording: {err}", file=sys.stderr)
        else:
            played = troupe.play(box, shim, names, folder)
            theirs |= {
                name: one["observation"] for name, one in played.items() if "observation" in one
            }
    ours = troupe.play(box, troupe.OURS, names, folder)
    different = 0
    width = max(len(name) for name in names)
    parts = {case.name: case.part for case in ALL}
    for name in names:
        mine = ours[name].get("observation", ours[name])
        verdict = judge(name, theirs.get(name), mine, KNOWN)
        print(f"{name:{width}}  {parts[name]:18}  {verdict.word}")
        for fault in verdict.faults:
            print("    " + fault.replace("\n", "\n    "))
        different += bool(verdict.faults)
    print(f"{len(names)} cases, {different} different")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
