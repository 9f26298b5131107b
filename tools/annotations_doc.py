"""Write docs/windows-annotations.md from the table in podshim.hcsspec.table.

Run it after a change of the table: python tools/annotations_doc.py. A test compares.
"""

from pathlib import Path
from typing import Any

from podshim.hcsspec.annotations import Annotation
from podshim.hcsspec.table import ROWS

TARGET = Path(__file__).parents[1] / "docs" / "windows-annotations.md"

HEAD = """# Annotations of containers on Windows

All annotations that `containerd-shim-runhcs-v1` knows. This page is made from the table in
`src/podshim/hcsspec/table.py` by `tools/annotations_doc.py`.

A value that is none of its kind counts as absent, with a warning in the log; a wrong GUID is an
error. Booleans are `1 t T TRUE true True 0 f F FALSE false False`. Others are handed on untouched.

| annotation | value | default | what it does |
|---|---|---|---|
"""


def document() -> str:
    """The whole page."""
    return HEAD + "".join(f"{_row(row)}\n" for row in ROWS)


def _row(row: Annotation[Any]) -> str:
    key = row.key + ("<GUID>" if row.prefix else "")
    return f"| `{key}` | {row.kind.name} | {_default(row.default)} | {row.purpose} |"


def _default(value: object) -> str:
    if value is None or value in {"", ()}:
        return ""
    return f"`{str(value).lower()}`"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
