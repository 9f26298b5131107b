"""The bundle's files: atomic, private, bounded; and errors that say which file is wrong."""

import json
import os
import stat
from pathlib import Path

import pytest

from podshim.bundle import Bundle, BundleError, ExitRecord


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(str(tmp_path))


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Bundle("b").path == str(tmp_path / "b")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_written_file_has_its_content_and_mode(bundle: Bundle, mode: int) -> None:
    umask = os.umask(0o077)
    try:
        bundle.write("address", b"unix:///run/x", mode)
    finally:
        os.umask(umask)
    assert bundle.read("address", 100) == b"unix:///run/x"
    assert stat.S_IMODE(os.stat(bundle.file("address")).st_mode) == mode
    assert os.listdir(bundle.path) == ["address"]


def test_writing_replaces_the_whole_file(bundle: Bundle) -> None:
    bundle.write("shim.pid", b"1234567")
    before = os.open(bundle.file("shim.pid"), os.O_RDONLY)
    try:
        bundle.write("shim.pid", b"89")
        assert os.read(before, 100) == b"1234567"
    finally:
        os.close(before)
    assert bundle.read("shim.pid", 100) == b"89"


def test_a_failed_write_leaves_nothing(bundle: Bundle) -> None:
    os.mkdir(bundle.file("address"))
    with pytest.raises(OSError, match="address"):
        bundle.write("address", b"x")
    assert os.listdir(bundle.path) == ["address"]


def test_a_symlink_is_replaced_and_not_followed(bundle: Bundle, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    os.symlink(victim, bundle.file("address"))
    bundle.write("address", b"x")
    assert victim.read_bytes() == b"precious"
    assert not os.path.islink(bundle.file("address"))


def test_a_file_over_its_limit_is_refused(bundle: Bundle) -> None:
    bundle.write("panic.log", b"12345")
    assert bundle.read("panic.log", 5) == b"12345"
    with pytest.raises(BundleError, match="larger than 4 bytes"):
        bundle.read("panic.log", 4)


def test_annotations(bundle: Bundle) -> None:
    bundle.write("config.json", json.dumps({"annotations": {"a": "b"}}).encode())
    assert bundle.annotations() == {"a": "b"}


@pytest.mark.parametrize("spec", ["{}", '{"annotations": null}', '{"annotations": {}}'])
def test_no_annotations_is_an_empty_map(bundle: Bundle, spec: str) -> None:
    bundle.write("config.json", spec.encode())
    assert bundle.annotations() == {}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\xfd", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"annotations": []}', "annotations is not a map of strings"),
        (b'{"annotations": {"a": 1}}', "annotations is not a map of strings"),
    ],
)
def test_a_bad_config_is_named(bundle: Bundle, content: bytes, text: str) -> None:
    bundle.write("config.json", content)
    with pytest.raises(BundleError, match=text) as caught:
        bundle.annotations()
    assert bundle.file("config.json") in str(caught.value)


def test_a_missing_config_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="No such file or directory") as caught:
        bundle.config()
    assert bundle.file("config.json") in str(caught.value)


def test_an_exit_record_comes_back(bundle: Bundle) -> None:
    assert bundle.read_exit() is None
    bundle.write_exit(ExitRecord(42, 137, 1_700_000_000_123_456_789))
    record = bundle.read_exit()
    assert record is not None
    assert (record.pid, record.status, record.at) == (42, 137, 1_700_000_000_123_456_789)
    assert not record.deleted
    bundle.write_exit(ExitRecord(42, 0, 1, deleted=True))
    record = bundle.read_exit()
    assert record is not None
    assert record.deleted


GOOD_RECORD = {"pid": 1, "status": 0, "at": 1, "deleted": True}


def record_with(**fields: object) -> bytes:
    return json.dumps({**GOOD_RECORD, **fields}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"pid": "x"}',
        b" " * 5000,
        b"[" * 4096,
        record_with(deleted="false"),
        record_with(deleted=0),
        record_with(status=float("inf")),
        record_with(status=-1),
        record_with(status=1 << 32),
        record_with(status=True),
        record_with(pid="1"),
        record_with(pid=1 << 32),
        record_with(at=1 << 63),
        record_with(at=1.5),
    ],
)
def test_an_illegible_exit_record_is_none(bundle: Bundle, content: bytes) -> None:
    bundle.write("exit.json", content)
    assert bundle.read_exit() is None


def test_an_exit_record_can_be_forgotten(bundle: Bundle) -> None:
    bundle.forget_exit()
    bundle.write("exit.json", record_with())
    assert bundle.read_exit() is not None
    bundle.forget_exit()
    assert bundle.read_exit() is None
