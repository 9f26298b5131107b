"""Output that nobody reads while it is written: it waits in the fifo, and none of it is lost."""

import subprocess

import pytest

from support.box import Box

pytestmark = pytest.mark.ours


def _detached(box: Box, name: str, command: str) -> None:
    """A container that runs a command when ctr has gone and nobody reads."""
    words = ["sh", "-c", f"trap '{command}' TERM; while :; do sleep 1000 & wait $!; done"]
    box.ctr(*box.run_words(name, words, ["--detach"]))
    box.ctr("task", "kill", "--signal", "SIGTERM", name)


def test_a_reader_that_comes_back_gets_all_then_the_end(box: Box) -> None:
    # 60 KiB, which a fifo holds.
    _detached(box, "speaker", "seq 1000000 1007679; exit 6")
    box.wait_status("speaker", "STOPPED")
    done = box.ctr("task", "attach", "speaker", check=False)
    assert done.stdout == "".join(f"{number}\n" for number in range(1_000_000, 1_007_680))
    assert done.returncode == 6
    box.ctr("container", "delete", "speaker")


def test_a_writer_waits_for_a_reader_and_goes_on(box: Box) -> None:
    # Far more than a fifo holds: it must wait, neither fail nor lose anything.
    _detached(box, "writer", "seq 1 50000")
    command = box.command("task", "attach", "writer")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        for number in range(1, 50_001):
            assert reader.stdout.readline() == b"%d\n" % number
        box.ctr("task", "kill", "--signal", "SIGKILL", "writer")
        assert reader.stdout.read() == b""
    box.ctr("container", "delete", "writer")
