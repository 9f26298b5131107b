"""Recordings: what the original was seen to do, in a file for each subject.

A line holds one step, or one event, or one request to HCS: so a change of the original, or of what
is observed, reads well as a difference of two versions of a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"
VERSION = "v0.14.1"

Observation = dict[str, Any]


def load(subject: str) -> dict[str, Observation]:
    """The observations of a subject's cases that were recorded; none if there is no file."""
    path = FOLDER / f"{subject}.json"
    if not path.exists():
        return {}
    recorded: dict[str, Observation] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return recorded


def save(subject: str, observations: Mapping[str, Observation]) -> None:
    """Write a subject's recording."""
    FOLDER.mkdir(exist_ok=True)
    whole = {"original": VERSION, "cases": dict(observations)}
    text = "".join(_lines(whole, 0, 4)) + "\n"
    (FOLDER / f"{subject}.json").write_text(text, encoding="utf-8")


def _lines(value: Any, level: int, deepest: int) -> str:
    """JSON with each value down to a level on a line of its own, and deeper ones within it."""
    nested = level < deepest or (level == deepest and isinstance(value, list))
    if not nested or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    indent, last = " " * (level + 1), " " * level
    if isinstance(value, dict):
        items = [
            f"{indent}{json.dumps(key)}: {_lines(one, level + 1, deepest)}"
            for key, one in value.items()
        ]
        return "{\n" + ",\n".join(items) + "\n" + last + "}"
    items = [f"{indent}{_lines(one, level + 1, deepest)}" for one in value]
    return "[\n" + ",\n".join(items) + "\n" + last + "]"
