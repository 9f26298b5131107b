"""`delete` on Windows, and the command line."""

import sys
import time
from pathlib import Path

import pytest

from podshim.api.task_v2_pb2 import DeleteResponse
from podshim.version import VERSION

assert sys.platform == "win32"

from windows.cases.process_support import (  # noqa: E402 - after the line that tells where
    Shim,
    shim_pid,
    shut_down,
)

MAX = 1 << 20


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    return Shim(tmp_path)


async def delete(shim: Shim, engine: str = "Good") -> tuple[int, bytes, str]:
    done = await shim.call("-bundle", str(shim.bundle), "delete", ENGINE=engine)
    return done.returncode, done.stdout, done.stderr.decode()


async def test_delete_answers_255_and_says_nothing(shim: Shim) -> None:
    before = time.time()
    status, out, err = await delete(shim)
    assert (status, err) == (0, "")
    answer = DeleteResponse.FromString(out)
    assert (answer.pid, answer.exit_status) == (0, 255)
    assert before - 1 <= answer.exited_at.ToMicroseconds() / 1e6 <= time.time() + 1
    assert shim.deleted.read_text() == "i\n"


async def test_delete_wants_a_bundle(shim: Shim) -> None:
    done = await shim.call("delete")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"bundle is required\n")
    assert not shim.deleted.exists()


async def test_delete_of_a_bundle_that_is_gone(shim: Shim) -> None:
    done = await shim.call("-bundle", str(shim.folder / "gone"), "delete")
    assert (done.returncode, done.stderr) == (0, b"")
    assert DeleteResponse.FromString(done.stdout).exit_status == 255


@pytest.mark.parametrize(("size", "lines"), [(0, 0), (10, 1), (MAX - 1, 1), (MAX, 2), (MAX + 1, 2)])
async def test_delete_tells_what_a_dead_shim_said(shim: Shim, size: int, lines: int) -> None:
    (shim.bundle / "panic.log").write_bytes(b"x" * size)
    status, out, err = await delete(shim)
    assert status == 0
    assert DeleteResponse.FromString(out).exit_status == 255
    told = err.splitlines()
    assert len(told) == lines
    assert all("level=warning" in line for line in told)
    if lines:
        assert 'msg="found shim panic logs during delete"' in told[0]
        assert told[0].endswith(f" log={'x' * min(size, MAX)}")
    if lines > 1:
        assert "larger than 1MB" in told[1]


async def test_a_panic_log_that_cant_be_read_is_told(shim: Shim) -> None:
    (shim.bundle / "panic.log").mkdir()
    status, _, err = await delete(shim)
    assert status == 0
    assert 'msg="failed to open shim panic log"' in err


async def test_a_container_that_does_not_end_fails_the_delete(shim: Shim) -> None:
    status, out, err = await delete(shim, "NotInTime")
    assert (status, out) == (1, b"")
    assert err.splitlines() == [
        "failed to wait for 'i' to terminate: a reason",
        "timed out waiting for 'i' to terminate",
    ]


async def test_the_launcher_that_installers_make(shim: Shim) -> None:
    shim.program = ["containerd-shim-runhcs-v1.exe"]
    done = await shim.call("--version")
    text = f"containerd-shim-runhcs-v1 version {VERSION}\nspec: 1.2.1\n"
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, text, b"")
    done = await shim.call("bogus")
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        b"",
        b"No help topic for 'bogus'\n",
    )


async def test_the_binary_with_its_own_engine(shim: Shim) -> None:
    shim.program = ["containerd-shim-runhcs-v1.exe"]
    shim.spec()
    done = await shim.call("start")
    assert (done.returncode, done.stdout, done.stderr) == (0, shim.address.encode(), b"")
    assert str(await shim_pid(shim.address)) == (shim.bundle / "shim.pid").read_text()
    await shut_down(shim.address)
    done = await shim.call("-bundle", str(shim.bundle), "delete")
    assert (done.returncode, done.stderr) == (0, b"")
    assert DeleteResponse.FromString(done.stdout).exit_status == 255
