"""Runtime options in every form, by tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from podshim.api import runc_options_pb2, runtime_options_pb2
from podshim.bundle import Bundle
from podshim.engine import TypedValue
from podshim.engines.oci import options
from podshim.engines.oci.options import CheckpointOptions, RuntimeOptions, decode
from podshim.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

FULL = RuntimeOptions(
    no_pivot_root=True,
    no_new_keyring=True,
    shim_cgroup="/shim",
    io_uid=1000,
    io_gid=1001,
    binary_name="crun",
    root="/run/x",
    systemd_cgroup=True,
    criu_image_path="/i",
    criu_work_path="/w",
)
FULL_TOML = b"""
BinaryName = 'crun'
Root = "/run/x"
SystemdCgroup = true
NoPivotRoot = true
NoNewKeyring = true
ShimCgroup = "/shim"
IoUid = 1000
IoGid = 1001
CriuImagePath = "/i"
CriuWorkPath = "/w"
TaskApiAddress = "ttrpc+unix:///x"
TaskApiVersion = 3
CriuPath = "/usr/sbin/criu"
TypeUrl = ""
"""


def generic(**values: Any) -> TypedValue:
    message = runtime_options_pb2.Options(**values)
    return TypedValue("runtimeoptions.v1.Options", message.SerializeToString())


def runc(**values: Any) -> TypedValue:
    message = runc_options_pb2.Options(**values)
    return TypedValue(
        "types.googleapis.com/containerd.runc.v1.Options", message.SerializeToString()
    )


def test_nothing_is_the_defaults() -> None:
    for nothing in (None, TypedValue("", b""), runc(), generic()):
        assert decode(nothing) == RuntimeOptions()
    assert RuntimeOptions().binary == "runc"
    assert RuntimeOptions().root_or_default == "/run/containerd/runc"


def test_the_message() -> None:
    values = {name: getattr(FULL, name) for name in RuntimeOptions.__slots__}
    assert decode(runc(**values, task_api_address="x", task_api_version=3)) == FULL


def test_the_toml_text_and_file(tmp_path: Path) -> None:
    assert decode(generic(config_body=FULL_TOML, type_url="x")) == FULL
    path = tmp_path / "options.toml"
    path.write_bytes(FULL_TOML)
    assert decode(generic(config_path=str(path))) == FULL


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SystemdCgroups = true", "unknown runtime option 'SystemdCgroups'"),
        ("Binary_Nam = 'x'", "unknown runtime option 'Binary_Nam'"),
        ("SystemdCgroup = 'true'", "'SystemdCgroup' must be true or false, not 'true'"),
        ("IoUid = true", "'IoUid' must be a number, not True"),
        ("IoUid = -1", "'IoUid' is out of range: -1"),
        ("IoUid = 4294967296", "'IoUid' is out of range"),
        ("IoUid = 1.5", "'IoUid' must be a number"),
        ("BinaryName = 1", "'BinaryName' must be a string, not 1"),
        ("[BinaryName]", "'BinaryName' must be a string"),
        ("BinaryName", "not valid TOML"),
        ("a = 1\na = 2", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, error: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        decode(generic(config_body=text.encode()))
    assert error in str(caught.value)


def test_toml_that_is_no_text() -> None:
    with pytest.raises(InvalidArgumentError, match="not valid TOML"):
        decode(generic(config_body=b"\xff"))


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"#" * (options.MAX_SIZE + 1))
    for path, text in (
        (large, "larger than"),
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
    ):
        with pytest.raises(InvalidArgumentError, match=text):
            decode(generic(config_path=str(path)))


@pytest.mark.parametrize("name", ["containerd.runc.v2.Options", "x", "Windows.Options"])
def test_another_type_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"of type '{name}' are not understood"):
        decode(TypedValue(f"prefix/{name}", b"1"))
    assert decode(TypedValue(f"prefix/{name}", b"")) == RuntimeOptions()


@pytest.mark.parametrize("name", [options.RUNC_OPTIONS, options.RUNTIME_OPTIONS])
def test_bytes_that_are_no_message(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="can't be decoded"):
        decode(TypedValue(name, b"\xff\xff"))


@given(st.binary(max_size=200))
def test_garbage_raises_one_error_only(data: bytes) -> None:
    for function in (options.from_toml, options.from_json):
        try:
            function(data)
        except InvalidArgumentError:
            continue


def test_the_files_for_cleaning_up(tmp_path: Path) -> None:
    bundle = Bundle(str(tmp_path))
    options.save(bundle, FULL)
    assert options.load(bundle) == FULL
    assert (tmp_path / "runtime").read_text() == "crun"
    for name in ("runtime", "options.json"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "options.json").read_text())["systemd_cgroup"] is True
    options.save(bundle, RuntimeOptions())
    assert (tmp_path / "options.json").read_text() == "{}"
    assert (tmp_path / "runtime").read_text() == ""


def test_files_of_other_shims_and_broken_ones(tmp_path: Path) -> None:
    bundle = Bundle(str(tmp_path))
    assert options.load(bundle) == RuntimeOptions()
    (tmp_path / "runtime").write_text("/usr/bin/crun\n")
    assert options.load(bundle) == RuntimeOptions(binary_name="/usr/bin/crun")
    (tmp_path / "options.json").write_text('{"root":"/r","new_in_go":1,"binary_name":"youki"}')
    assert options.load(bundle) == RuntimeOptions(binary_name="/usr/bin/crun", root="/r")
    for broken in ("{", "[]", '{"root": 1}'):
        (tmp_path / "options.json").write_text(broken)
        assert options.load(bundle) == RuntimeOptions(binary_name="/usr/bin/crun")


def test_checkpoint_options() -> None:
    assert options.decode_checkpoint(None) == CheckpointOptions()
    message = runc_options_pb2.CheckpointOptions(
        exit=True, open_tcp=True, empty_namespaces=["network"], work_path="/w", parent_path="/p"
    )
    value = TypedValue("x/containerd.runc.v1.CheckpointOptions", message.SerializeToString())
    assert options.decode_checkpoint(value) == CheckpointOptions(
        exit=True, open_tcp=True, empty_namespaces=("network",), work_path="/w", parent_path="/p"
    )
    with pytest.raises(InvalidArgumentError, match="type 'y' are not understood"):
        options.decode_checkpoint(TypedValue("x/y", b"1"))
    with pytest.raises(InvalidArgumentError, match="can't be decoded"):
        options.decode_checkpoint(TypedValue(options.CHECKPOINT_OPTIONS, b"\xff"))
