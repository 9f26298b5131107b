"""`binary://`: a logging program on the other end."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from oci.oci_support import Holdings, Workshop, children, settled
from podshim.engine import Stdio
from podshim.engines.oci import logger
from podshim.errors import DeadlineExceededError, ShimError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """#!{python} -IS
import os, sys
out = sys.argv[sys.argv.index("out") + 1]
ready = sys.argv[sys.argv.index("ready") + 1]
fds = sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n))
with open(out + ".facts", "w") as file:
    print(sys.argv[1:], dict(os.environ), fds, file=file)
if ready == "byte":
    os.write(5, b"\\0")
if ready == "crash":
    sys.exit(1)
if ready == "never":
    import time
    time.sleep(600)
os.close(5)
parts = []
for fd in (3, 4):
    with open(fd, "rb") as stream:
        parts.append(stream.read())
with open(out, "wb") as file:
    file.write(b"|".join(parts))
if ready == "stubborn":
    import time
    time.sleep(600)
"""


@pytest.fixture
def program(shop: Workshop) -> Path:
    path = shop.folder / "my logger"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def uri(program: Path, out: Path, ready: str, scheme: str = "binary") -> Stdio:
    text = f"{scheme}://{str(program).replace(' ', '%20')}?out={out}&ready={ready}&out=ignored"
    return Stdio(stdout=text, stderr=text)


@pytest.mark.parametrize(
    ("scheme", "ready"), [("binary", "byte"), ("binary", "eof"), ("binary-v2", "byte")]
)
async def test_a_logger_gets_everything(
    shop: Workshop, program: Path, scheme: str, ready: str
) -> None:
    out = shop.folder / "out"
    before = Holdings.now()
    spec = shop.spec("/bin/sh", "-c", "echo out; echo err >&2")
    box = await shop.create(shop.request(spec, uri(program, out, ready, scheme)))
    assert (await box.run()).status == 0
    await box.remove()
    assert out.read_bytes() == b"out\n|err\n"
    facts = (shop.folder / "out.facts").read_text()
    assert f"['out', '{out}', 'ready', '{ready}']" in facts
    assert f"'CONTAINER_ID': '{box.request.id}'" in facts
    assert "'CONTAINER_NAMESPACE': 'ocitest'" in facts
    assert "PATH" not in facts
    assert "[0, 1, 2, 3, 4, 5]" in facts
    await settled(before)


async def test_a_logger_of_a_terminal(shop: Workshop, program: Path) -> None:
    out = shop.folder / "out"
    spec = shop.spec("/bin/sh", "-c", "echo out; echo err >&2", terminal=True)
    stdio = uri(program, out, "byte")
    box = await shop.create(shop.request(spec, Stdio(terminal=True, stdout=stdio.stdout)))
    assert (await box.run()).status == 0
    await box.remove()
    assert out.read_bytes() == b"out\r\nerr\r\n|"


async def test_v2_wants_a_byte(shop: Workshop, program: Path) -> None:
    before = Holdings.now()
    stdio = uri(program, shop.folder / "out", "crash", "binary-v2")
    with pytest.raises(ShimError, match="logging binary did not call ready"):
        await shop.create(shop.request(shop.spec("/bin/true"), stdio))
    await settled(before)


async def test_a_logger_that_is_never_ready_is_ended(
    shop: Workshop, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "READY_LIMIT", 0.5)
    before = Holdings.now()
    stdio = uri(program, shop.folder / "out", "never")
    with pytest.raises(DeadlineExceededError, match=r"not ready within 0\.5 s"):
        await shop.create(shop.request(shop.spec("/bin/true"), stdio))
    await settled(before)


async def test_a_logger_that_stays_is_ended(
    shop: Workshop, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from podshim.engines.oci import process

    monkeypatch.setattr(process, "DRAIN_LIMIT", 0.5)
    box = await shop.create(
        shop.request(shop.spec("/bin/true"), uri(program, shop.folder / "out", "stubborn"))
    )
    assert (await box.run()).status == 0
    async with asyncio.timeout(10):
        await box.remove()
    assert children() == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("binary:///bin/log", ["/bin/log"]),
        ("binary:///bin/log?a=1&b=2", ["/bin/log", "a", "1", "b", "2"]),
        ("binary:///bin/log?a=1&a=2&c=", ["/bin/log", "a", "1", "c", ""]),
        ("binary:///bin/my%20log?k=x%20y", ["/bin/my log", "k", "x y"]),
    ],
)
def test_the_command_line_of_a_uri(text: str, line: list[str]) -> None:
    assert logger.command_line(text) == line


def test_a_uri_without_a_program() -> None:
    with pytest.raises(ShimError, match="no program"):
        logger.command_line("binary://")
