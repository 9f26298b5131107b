"""The CRI modules of the tests are what the generator makes."""

import filecmp
from pathlib import Path

from support.cri.generate import HERE, generate


def test_regenerating_changes_nothing(tmp_path: Path) -> None:
    generate(tmp_path)
    names = [path.name for path in tmp_path.iterdir()]
    assert sorted(names) == ["cri_pb2.py", "cri_pb2.pyi"]
    assert filecmp.cmpfiles(tmp_path, HERE, names, shallow=False) == (names, [], [])
