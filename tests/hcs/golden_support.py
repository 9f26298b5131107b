"""Golden documents: files that say, member by member and in order, what is handed to HCS."""

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    """The document of a golden file."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def assert_golden(document: Any, name: str) -> None:
    """Compare with a golden file, the order of members included."""
    expected = golden(name)
    assert document == expected
    assert json.dumps(document) == json.dumps(expected), "members in another order"
