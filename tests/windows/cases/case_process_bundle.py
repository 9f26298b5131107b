"""The bundle's files on Windows, where a reader can hold up a writer."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from podshim import bundle as bundle_module
from podshim.bundle import Bundle

assert sys.platform == "win32"


def test_bytes_stay_as_they_are(tmp_path: Path) -> None:
    content = b"a\nb\r\nc\x1a\x00"
    bundle = Bundle(str(tmp_path))
    bundle.write("address", content)
    bundle.write("address", content)
    assert bundle.read("address", 100) == content
    assert [path.name for path in tmp_path.iterdir()] == ["address"]


async def test_a_reader_holds_up_a_writer_for_a_moment(tmp_path: Path) -> None:
    bundle = Bundle(str(tmp_path))
    bundle.write("address", b"old")
    with (tmp_path / "address").open("rb") as reader:
        writing = asyncio.create_task(asyncio.to_thread(bundle.write, "address", b"new"))
        await asyncio.wait((writing,), timeout=0.1)
        assert reader.read() == b"old"
    await writing
    assert bundle.read("address", 100) == b"new"


def test_what_cant_be_replaced_fails_the_writer_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "_REPLACE_TIMEOUT", 0.05)
    bundle = Bundle(str(tmp_path))
    (tmp_path / "address").mkdir()  # what can't be replaced, on every system
    begun = time.monotonic()
    with pytest.raises(PermissionError):
        bundle.write("address", b"new")
    assert time.monotonic() - begun >= 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["address"]
