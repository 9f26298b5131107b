"""Runtime names and the binaries behind them."""

import re
from pathlib import Path

import pytest

from podshim.errors import InvalidArgumentError, NotFoundError
from podshim.manager.naming import binary_name, find_shim


@pytest.mark.parametrize(
    ("runtime", "binary"),
    [
        ("io.containerd.runc.v2", "containerd-shim-runc-v2"),
        ("io.containerd.runoci.v1", "containerd-shim-runoci-v1"),
        ("io.foo.bar.runc2.v2.baz", "containerd-shim-v2-baz"),
        ("a.b", "containerd-shim-a-b"),
    ],
)
def test_names(runtime: str, binary: str) -> None:
    assert binary_name(runtime) == binary


@pytest.mark.parametrize("runtime", ["", "runc", ".runc.v2", "./a.b", "a/b.c", "a.b\0"])
def test_what_is_no_name(runtime: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid runtime name"):
        binary_name(runtime)


def executable(path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    path.touch(0o755)
    return str(path)


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    name = "containerd-shim-a-b"
    beside = executable(tmp_path / "beside" / name)
    assert find_shim("io.a.b", path="", beside=str(tmp_path / "beside")) == beside
    first = executable(tmp_path / "first" / name)
    path = f"{tmp_path / 'none'}:{tmp_path / 'first'}"
    assert find_shim("io.a.b", path=path, beside=str(tmp_path / "beside")) == first


def test_the_current_folder_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "containerd-shim-a-b")
    monkeypatch.chdir(tmp_path)
    text = 'runtime "io.a.b" binary not installed "containerd-shim-a-b": file does not exist'
    with pytest.raises(NotFoundError, match=re.escape(text)):
        find_shim("io.a.b", path=str(tmp_path / "none"))


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    shim = executable(tmp_path / "my-shim")
    assert find_shim(shim) == shim
    with pytest.raises(InvalidArgumentError, match="invalid custom binary path"):
        find_shim(str(tmp_path / "none"))
