"""`delete` with real processes: the true end of a container, and nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from podshim.api.task_v2_pb2 import DeleteResponse
from podshim.bundle import Bundle, ExitRecord
from podshim.shim.rendezvous import knock
from shim.shim_box import Box, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def box() -> Iterator[Box]:
    with Box() as made:
        yield made


def answer(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    assert done.returncode == 0, done.stderr.decode()
    response = DeleteResponse.FromString(done.stdout)
    return response.pid, response.exit_status, response.exited_at.ToNanoseconds()


def cleaned(box: Box) -> str:
    path = box.path / "cleaned"
    return path.read_text() if path.exists() else ""


def test_a_container_that_never_was(box: Box) -> None:
    bundle = box.bundle("c1")
    before = time.time_ns()
    done = box.run("delete", "c1", "-bundle", str(bundle))
    pid, status, at = answer(done)
    assert (pid, status, done.stderr) == (0, 137, b"")
    assert before <= at <= time.time_ns()
    assert cleaned(box) == f"ns c1 {bundle}\n"


def test_the_current_folder_is_the_bundle(box: Box) -> None:
    bundle = box.bundle("c1")
    answer(box.run("delete", "c1"))
    assert cleaned(box) == f"ns c1 {bundle}\n"


def test_a_bundle_that_is_gone(box: Box) -> None:
    bundle = box.bundle("c1")
    shutil.rmtree(bundle)
    done = box.run("delete", "c1", "-bundle", str(bundle), cwd=box.path)
    assert answer(done)[1] == 137
    assert done.stderr == b""


@pytest.mark.parametrize("deleted", [True, False])
def test_the_record_tells_the_true_end(box: Box, deleted: bool) -> None:
    bundle = box.bundle("c1")
    Bundle(str(bundle)).write_exit(ExitRecord(77, 42, 1_700_000_000_123_456_789, deleted=deleted))
    done = box.run("delete", "c1")
    assert answer(done) == (77, 42, 1_700_000_000_123_456_789)
    assert cleaned(box) == ("" if deleted else f"ns c1 {bundle}\n")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "\x00" * 100])
def test_a_broken_record_is_none(box: Box, content: str) -> None:
    (box.bundle("c1") / "exit.json").write_text(content)
    assert answer(box.run("delete", "c1"))[1] == 137


def test_the_engine_may_know_the_end(box: Box) -> None:
    box.program = box.make_program("KnowsTheEnd")
    (box.bundle("c1") / "init.pid").write_text("4711")
    assert answer(box.run("delete", "c1")) == (4711, 42, 7_000_000_000)


def test_what_cant_be_removed_is_an_error(box: Box) -> None:
    box.program = box.make_program("CantClean")
    box.bundle("c1")
    done = box.run("delete", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"containerd-shim-cantclean-v1: runc delete: device busy"


def test_it_ends_in_time_whatever_the_engine_does(box: Box) -> None:
    box.program = box.make_program("CleansForEver", module="delete", TIMEOUT=0.3)
    box.bundle("c1")
    done = box.run("delete", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"could not be removed within 0.3 s" in done.stderr


def test_what_an_engine_prints_is_not_taken_for_the_answer(box: Box) -> None:
    box.program = box.make_program("Prints")
    box.bundle("c1")
    done = box.run("delete", "c1")
    assert answer(done)[1] == 137
    assert sorted(done.stderr.splitlines()) == [b"from Python", b"from a program"]


def test_sigterm_is_no_reason_to_stop_half_way(box: Box) -> None:
    box.program = box.make_program("CleansWhenTold")
    bundle = box.bundle("c1")
    process = box.begin("c1", "delete")
    wait_until((bundle / "begun").exists)
    process.terminate()
    (box.path / "open").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert DeleteResponse.FromString(out).exit_status == 137
    assert (box.path / "cleaned").read_text() == f"ns c1 {bundle}\n"


def test_last_words_reach_standard_error_and_the_dead_socket_goes(box: Box) -> None:
    bundle = box.bundle("c1")
    box.start("c1")
    (bundle / "panic.log").write_text("Fatal Python error: out of ideas\n")
    os.kill(box.pid("c1"), signal.SIGKILL)
    wait_until(lambda: not box.processes())
    assert len(box.sockets_left()) == 1
    done = box.run("delete", "c1")
    assert answer(done)[1] == 137
    assert done.stderr == b"found shim panic logs during delete: Fatal Python error: out of ideas\n"
    assert box.sockets_left() == []


def test_long_last_words_are_cut_at_their_beginning(box: Box) -> None:
    (box.bundle("c1") / "panic.log").write_bytes(b"x" * (3 << 20) + b"the end")
    done = box.run("delete", "c1")
    answer(done)
    assert len(done.stderr) < (1 << 20) + 100
    assert done.stderr.endswith(b"the end\n")


LISTENER = """
import socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
print(subprocess.Popen(["sleep", "600"], pass_fds=[listener.fileno()], **quiet).pid)
"""


def test_a_dead_servers_socket_goes_even_if_it_answers_still(box: Box) -> None:
    # As it does for the moments that the kernel needs to close what a killed process had open.
    bundle = box.bundle("c1")
    box.sockets.mkdir(mode=0o700)
    socket = box.sockets / ("0" * 64)
    (bundle / "address").write_text(f"unix://{socket}")
    words = [sys.executable, "-c", LISTENER, str(socket)]
    holder = int(subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    try:
        visitor = knock(str(socket))
        assert visitor
        visitor.close()
        answer(box.run("delete", "c1"))
        assert box.sockets_left() == []
    finally:
        os.kill(holder, signal.SIGKILL)


def test_a_live_servers_socket_stays(box: Box) -> None:
    box.bundle("c1")
    address = box.start("c1")
    answer(box.run("delete", "c1"))
    assert len(box.sockets_left()) == 1
    assert box.start("c1") == address
    assert len(box.processes()) == 1


@pytest.mark.parametrize("address", ["unix:///etc/passwd", "vsock://1:2", "", "unix://" + "a" * 99])
def test_an_odd_address_is_left_alone(box: Box, address: str) -> None:
    (box.bundle("c1") / "address").write_text(address)
    done = box.run("delete", "c1")
    assert answer(done)[1] == 137
    assert done.stderr == b""


def test_a_deleted_container_costs_no_engine(box: Box) -> None:
    """The usual case: containerd runs `delete` after every deletion that went well."""
    box.program = box.make_program("Missing")
    Bundle(str(box.bundle("c1"))).write_exit(ExitRecord(1, 0, 1, deleted=True))
    assert answer(box.run("delete", "c1")) == (1, 0, 1)
