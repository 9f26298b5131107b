"""`binary://` and `binary-v2://`: output goes to a logging program."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from e2e.e2e_support import RUNNING, House, refused, unchanged, until
from podshim.engine import Stdio
from podshim.errors import Code
from support import census

SOURCE = Path(__file__).with_name("logger.py")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The logging program, executable; its interpreter needs nothing of the environment."""
    program = tmp_path / "logger"
    program.write_text(f"#!{Path(sys.executable).resolve()} -I\n{SOURCE.read_text()}")
    program.chmod(0o755)
    return program


def streams(program: Path, folder: Path, how: str = "well", scheme: str = "binary") -> Stdio:
    folder.mkdir(exist_ok=True)
    uri = f"{scheme}://{program}?folder={folder}&how={how}"
    return Stdio(stdout=uri, stderr=uri)


@pytest.mark.parametrize("scheme", ["binary", "binary-v2"])
async def test_a_logger_gets_everything(
    house: House, program: Path, tmp_path: Path, scheme: str
) -> None:
    """Its arguments are the query's, its environment two variables, its descriptors 0 to 5.

    It gets all output, sees the end of file at Delete, and may finish what it does.
    """
    folder = tmp_path / "init"
    stdio = streams(program, folder, scheme=scheme)
    async with house.shell("seq 20000; echo err >&2; exit 2", stdio=stdio) as task:
        assert (await task.wait()).status == 2
        await task.delete()
        assert (folder / "done").exists()
        facts = json.loads((folder / "facts").read_text())
        env = {"CONTAINER_ID": task.task_id, "CONTAINER_NAMESPACE": house.manager.namespace}
    assert facts["argv"] == [str(program), "folder", str(folder), "how", "well"]
    facts["env"].pop("LC_CTYPE", None)  # Python's own, where there is no locale
    assert facts["env"] == env
    assert facts["fds"] == [0, 1, 2, 3, 4, 5]
    assert (folder / "stdout").read_text().split() == [str(n) for n in range(1, 20_001)]
    assert (folder / "stderr").read_text() == "err\n"
    assert not census.is_alive(facts["pid"])
    await unchanged(house)


async def test_a_logger_of_an_exec(house: House, program: Path, tmp_path: Path) -> None:
    """An exec's logger is told the exec's id."""
    folder = tmp_path / "exec"
    async with house.running() as task:
        process = await task.exec("e1", ["echo", "hi"], stdio=streams(program, folder))
        await process.start()
        assert (await process.wait()).status == 0
        await process.delete()
    assert json.loads((folder / "facts").read_text())["env"]["CONTAINER_ID"] == "e1"
    assert (folder / "stdout").read_text() == "hi\n"


async def test_a_logger_of_a_terminal(house: House, program: Path, tmp_path: Path) -> None:
    """With a terminal, the logger gets what the terminal shows."""
    folder = tmp_path / "terminal"
    stdio = streams(program, folder)
    stdio = Stdio(terminal=True, stdout=stdio.stdout)
    spec = house.spec(["sh", "-c", "tty; echo hi"], terminal=True)
    async with house.running(spec=spec, stdio=stdio) as task:
        assert (await task.wait()).status == 0
        await task.delete()
    assert (folder / "stdout").read_bytes() == b"/dev/pts/0\r\nhi\r\n"


async def test_create_waits_until_a_logger_is_ready(
    house: House, program: Path, tmp_path: Path
) -> None:
    """Create returns no sooner than the logger says that it is ready; others go on meanwhile."""
    folder = tmp_path / "late"
    async with house.place(house.spec(["true"])) as shim:
        creation = asyncio.ensure_future(shim.create(stdio=streams(program, folder, "late")))
        await until((folder / "facts").exists, "the logger runs")
        assert (await house.pause.state()).status == RUNNING
        assert not creation.done()
        (folder / "go").touch()
        await (await creation).start()


async def test_a_logger_that_crashes(house: House, program: Path, tmp_path: Path) -> None:
    """binary-v2: an end without a byte fails Create, by name, and leaves nothing; binary: ready."""
    folder = tmp_path / "crash"
    async with house.place(house.spec(["echo", "x"])) as shim:
        with refused(Code.UNKNOWN, "logging binary did not call ready"):
            await shim.create(stdio=streams(program, folder, "crash", "binary-v2"))
        assert not house.runtime_state(shim.id).exists()
        assert house.topics(shim) == []
        task = await shim.create(stdio=streams(program, folder, "crash"))
        await task.start()
        await task.wait()
        await task.delete()
    await unchanged(house)
