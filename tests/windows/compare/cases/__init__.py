"""All cases. Each module here holds one subject, as a list `CASES`."""

import importlib
from pathlib import Path

from windows.compare.script import Case

SUBJECTS: dict[str, list[Case]] = {
    path.stem: importlib.import_module(f"{__name__}.{path.stem}").CASES
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
}
ALL: list[Case] = [case for cases in SUBJECTS.values() for case in cases]
