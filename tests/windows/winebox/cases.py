"""Tests that run on Windows, reported one by one on Linux.

A file ``cases/case_NAME.py`` is an ordinary pytest file that Windows' Python runs, in one go,
because starting it costs more than most tests. Linux's pytest does not collect it; a test file on
Linux takes its names from here, and each of its tests shows the outcome of one case.

Wine loses a process now and then, at its birth or later (`cases/births.py`). A case that failed in
a way in which that shows is run once more; if it passes then, that is told at the end of the run.
"""

import ast
import re
import xml.etree.ElementTree as ET  # a report that our own process wrote is no hostile input
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from windows.winebox.box import Box, incidents

#: Where this checkout's tests lie.
TESTS = Path(__file__).parents[2]
REPORT = "report.xml"
#: How long a case may take until its stack is shown (s).
CASE_LIMIT = 150


#: How a lost process shows: by Windows' own error, in vain waits, or as one that ended silently.
LOST = re.compile(
    r"WinError 1359|Timeout(Error|Expired)|DeadlineExceeded|DEADLINE_EXCEEDED"
    r"|status=1, stdout=b'', stderr=b''"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended: ``passed``, ``failed`` or ``skipped``, and what it said."""

    verdict: str
    text: str

    def check(self) -> None:
        """End the test that stands for the case as the case ended."""
        if self.verdict == "skipped":
            pytest.skip(self.text)
        if self.verdict != "passed":
            pytest.fail(self.text, pytrace=False)


def names(files: Sequence[Path]) -> list[str]:
    """The names of the test functions in files, in their order, without running them."""
    statements = [one for file in files for one in ast.parse(file.read_text()).body]
    functions = (
        node for node in statements if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [node.name for node in functions if node.name.startswith("test_")]


def run(
    box: Box,
    files: Sequence[Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    timeout: float = 400.0,
) -> dict[str, Outcome]:
    """Run all cases of some files on Windows, in one go.

    Args:
        box: where to run it.
        files: the files of cases, of one folder.
        folder: an empty folder for temporary files.
        env: variables for the cases.
        without: the names of tests that only fit Linux, as ``file.py::test_name``.
        timeout: seconds for all cases together.

    Returns:
        The outcome of each case by name; of parametrized ones, the worst.

    Raises:
        RuntimeError: Windows' pytest itself failed.
    """
    words = ["python", "-m", "pytest", *_options(box, files, folder)]
    words += [word for name in without for word in ("--deselect", name)]
    words += map(box.windows_path, files)
    # As on Linux, helpers are found as ``windows.cases``.
    variables = {**(env or {}), "PYTHONPATH": box.windows_path(TESTS)}

    def play(*chosen: str) -> dict[str, Outcome]:
        report = folder / REPORT
        report.unlink(missing_ok=True)
        done = box.run_through([*words, *chosen], env=variables, cwd=folder, timeout=timeout)
        if not report.exists():
            raise RuntimeError(f"no report: {done.stdout.decode()}{done.stderr.decode()}")
        return _worst(_read(report))

    outcomes = play()
    lost = [
        name for name, one in outcomes.items() if one.verdict == "failed" and LOST.search(one.text)
    ]
    if lost:
        again = play("-k", " or ".join(lost))
        for name in lost:
            if (second := again.get(name)) and second.verdict == "passed":
                incidents.append(f"{name} passed the second time, after:\n{outcomes[name].text}")
                outcomes[name] = second
    return outcomes


def _options(box: Box, files: Sequence[Path], folder: Path) -> list[str]:
    """Of Windows' pytest."""
    here = box.windows_path(files[0].parent)
    options = {
        "--rootdir": here,
        "--confcutdir": here,  # conftest.py files above are Linux's
        "-c": "NUL",
        "--basetemp": box.windows_path(folder / "temporary"),
        "--junitxml": box.windows_path(folder / REPORT),
    }
    settings = (
        "python_files=case_*.py",
        "asyncio_mode=auto",
        "asyncio_default_fixture_loop_scope=function",
        f"faulthandler_timeout={CASE_LIMIT}",
        "filterwarnings=error",
    )
    words = ["-v", "-p", "no:cacheprovider"]
    words += [word for setting in settings for word in ("-o", setting)]
    return words + [word for option in options.items() for word in option]


def _worst(read: Iterable[tuple[str, Outcome]]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for name, outcome in read:
        if name not in outcomes or outcome.verdict == "failed":
            outcomes[name] = outcome
    return outcomes


def _read(report: Path) -> Iterator[tuple[str, Outcome]]:
    for case in ET.parse(report).iter("testcase"):
        name = case.get("name", "").partition("[")[0]
        for tag, verdict in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
            if (found := case.find(tag)) is not None:
                yield name, Outcome(verdict, found.text or found.get("message") or "")
                break
        else:
            yield name, Outcome("passed", "")
