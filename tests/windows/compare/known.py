"""Every known difference between the original and ours, with the reason: rows for the reader.

Where a difference shows, and what ours has there, is filed in `known.json` under the row's name. A
new place is filed by `python -m windows.compare --list ROW CASE...`, after a look at it.
"""

import json
from pathlib import Path
from typing import Any

from windows.compare.judge import Difference

FILE = Path(__file__).with_name("known.json")
PLACES: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))


def _row(name: str, what: str, theirs: str, ours: str, why: str) -> Difference:
    return Difference(name, what, theirs, ours, why, PLACES.get(name, {}))


KNOWN: list[Difference] = []


def save(places: dict[str, dict[str, dict[str, Any]]]) -> None:
    """File places anew, in order."""
    ordered = {
        name: {case: dict(sorted(there.items())) for case, there in sorted(cases.items())}
        for name, cases in sorted(places.items())
        if cases
    }
    FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
