"""`start` on Windows: real processes, real pipes, engines that run nothing."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from podshim.api import task_v2_pb2, task_v2_ttrpc
from podshim.api.bootstrap_v1_pb2 import BootstrapParams
from podshim.api.runhcs_options_pb2 import Options
from podshim.errors import ShimError
from podshim.transport import pipes
from podshim.ttrpc import Server

assert sys.platform == "win32"

from google.protobuf.any_pb2 import Any  # noqa: E402 - after the line that tells where this runs

from windows.cases.process_support import (  # noqa: E402
    KIND,
    SANDBOX,
    Shim,
    shim_pid,
    shut_down,
)


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    shim = Shim(tmp_path)
    shim.spec()
    return shim


def bare(**fields: object) -> bytes:
    """Options as they come from older containerds."""
    message = Options(**fields)  # type: ignore[arg-type] # whatever the case wants
    return Any(
        type_url="type.googleapis.com/containerd.runhcs.v1.Options",
        value=message.SerializeToString(),
    ).SerializeToString()


def bootstrap(**fields: object) -> bytes:
    """Options as they come from newer containerds."""
    params = BootstrapParams(instance_id="i", namespace="n", containerd_binary="containerd.exe")
    params.extensions.add().value.MergeFromString(bare(**fields))
    return params.SerializeToString()


async def test_start_prints_the_address_and_nothing_else(shim: Shim) -> None:
    done = await shim.call("start")
    assert (done.returncode, done.stdout, done.stderr) == (0, shim.address.encode(), b"")
    assert shim.files() == {"address", "shim.pid"}
    assert (shim.bundle / "address").read_bytes() == shim.address.encode()
    assert (shim.bundle / "panic.log").read_bytes() == b""
    pid = int((shim.bundle / "shim.pid").read_text())
    assert await shim_pid(shim.address) == pid
    assert shim.facts()["pid"] == pid
    await shut_down(shim.address)


async def test_the_server_is_called_as_microsofts(shim: Shim) -> None:
    shim.spec(**{KIND: "sandbox", SANDBOX: "i"})
    await shim.call("-debug", "start")
    facts = shim.facts()
    given = ["--namespace", shim.namespace, "--address", "a", "--publish-binary", "p", "--id", "i"]
    own = ["serve", "--socket", shim.address, "--is-sandbox"]
    words = ["containerd-shim-runhcs-v1.exe", *shim.program[1:], *given, *own]
    assert facts["words"] == words
    assert facts["executable"] == sys.executable
    assert Path(facts["folder"]) == shim.bundle
    await shut_down(shim.address)


async def test_in_a_virtual_environment_there_is_one_process_too(shim: Shim) -> None:
    folder = shim.folder / "venv"
    (folder / "Scripts").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(
        f"home = {sys.base_prefix}\ninclude-system-site-packages = true\nversion = 3.13.5\n"
    )
    python = folder / "Scripts" / "python.exe"
    python.touch()  # would execute the interpreter at home, and wait for it
    done = await shim.call("start", __PYVENV_LAUNCHER__=str(python))
    assert (done.returncode, done.stderr) == (0, b"")
    facts = shim.facts()
    assert str(facts["pid"]) == (shim.bundle / "shim.pid").read_text()
    assert Path(facts["prefix"]) == folder
    assert Path(facts["executable"]) == python
    assert facts["variable"] is None
    await shut_down(shim.address)


async def test_nothing_but_the_annotations_is_read(shim: Shim) -> None:
    shim.spec('{"hostname": 5, "process": [], "annotations": null} and more')
    done = await shim.call("start")
    assert (done.returncode, done.stderr) == (0, b"")
    await shut_down(shim.address)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (None, "open "),
        ("{", "failed to deserialize valid OCI spec: "),
        ("[]", "failed to deserialize valid OCI spec: "),
        ('{"annotations": {"a": 5}}', "failed to deserialize valid OCI spec: "),
        (
            json.dumps({"annotations": {SANDBOX: "p"}}),
            f"cannot specify '{SANDBOX}' without '{KIND}'\n",
        ),
        (
            json.dumps({"annotations": {SANDBOX: "p", KIND: "sandbox"}}),
            f"'id' and '{SANDBOX}' must match for '{KIND}=sandbox'\n",
        ),
        (json.dumps({"annotations": {SANDBOX: "p", KIND: "Sandbox"}}), f"invalid '{KIND}'"),
        (json.dumps({"annotations": {SANDBOX: "..\\x", KIND: "container"}}), "sandbox id: "),
        (
            json.dumps({"annotations": {SANDBOX: "absent", KIND: "container"}}),
            "failed to connect to hosting shim: open \\\\.\\pipe\\",
        ),
    ],
)
async def test_what_start_refuses(shim: Shim, spec: str | None, text: str) -> None:
    if spec is None:
        (shim.bundle / "config.json").unlink()
    else:
        shim.spec(spec)
    done = await shim.call("start")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(text)
    assert not shim.files()


async def test_a_container_joins_its_pods_shim(shim: Shim) -> None:
    shim.spec(**{KIND: "sandbox", SANDBOX: "i"})
    first = await shim.call("start")
    assert (first.returncode, first.stderr) == (0, b"")
    pid = (shim.bundle / "shim.pid").read_text()
    shim.bundle = shim.folder / "second"
    shim.bundle.mkdir()
    shim.spec(**{KIND: "container", SANDBOX: "i"})
    second = await shim.call("start", name="other")
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, b"")
    assert shim.files() == {"address", "shim.pid"}
    assert (shim.bundle / "shim.pid").read_text() == pid
    assert (shim.bundle / "address").read_bytes() == first.stdout
    await shut_down(shim.address)


class Refusing(task_v2_ttrpc.TaskService):
    async def connect(
        self, request: task_v2_pb2.ConnectRequest, context: object
    ) -> task_v2_pb2.ConnectResponse:
        raise ShimError(f"no {request.id} here")


async def test_a_shim_that_refuses_is_not_joined(shim: Shim) -> None:
    server = Server([task_v2_ttrpc.task_service(Refusing())])
    async with await pipes.serve(pipes.listen(shim.address), server):
        shim.spec(**{KIND: "container", SANDBOX: "i"})
        done = await shim.call("start", name="other")
        server.close()
    text = "failed to get shim pid from hosting shim: no i here\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", text)
    assert not shim.files()


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("CantOpen", "no containers on this machine\n"),
        ("Unforeseen", "nobody foresaw this\n"),
    ],
)
async def test_why_a_server_cant_serve_is_told(shim: Shim, engine: str, text: str) -> None:
    done = await shim.call("start", ENGINE=engine)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", text)
    assert shim.files() == {"panic.log"}


async def test_what_nobody_foresaw_is_in_the_panic_log(shim: Shim) -> None:
    await shim.call("start", ENGINE="Unforeseen")
    assert "ZeroDivisionError: nobody foresaw" in (shim.bundle / "panic.log").read_text()


async def test_a_server_that_dies_silently_fails_the_start(shim: Shim) -> None:
    done = await shim.call("start", ENGINE="Dies")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"died without a word, exit code 7" in done.stderr
    assert not shim.files()


async def test_a_server_that_hangs_is_killed(shim: Shim) -> None:
    done = await shim.call("start", ENGINE="Hangs", SERVE_TIMEOUT="20")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"did not serve in time" in done.stderr
    assert not shim.files()
    assert shim.server_has_ended()


@pytest.mark.parametrize("name", ["shim.pid", "address"])
async def test_a_server_that_cant_be_written_down_is_killed(shim: Shim, name: str) -> None:
    (shim.bundle / name).mkdir()
    done = await shim.call("start")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr
    assert shim.files() == {name}
    assert shim.server_has_ended()


async def test_a_second_start_of_one_id_fails_and_harms_nobody(shim: Shim) -> None:
    await shim.call("start")
    pid = (shim.bundle / "shim.pid").read_text()
    shim.bundle = shim.folder / "second"
    shim.bundle.mkdir()
    shim.spec()
    done = await shim.call("start")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"open \\\\.\\pipe\\" in done.stderr
    assert shim.files() == {"panic.log"}
    assert str(await shim_pid(shim.address)) == pid
    await shut_down(shim.address)


async def test_starts_at_once_make_one_server(shim: Shim) -> None:
    bundles = [shim.folder / "one", shim.folder / "two"]
    done = []
    for bundle in bundles:
        bundle.mkdir()
        shim.bundle = bundle
        shim.spec()
        done.append(asyncio.create_task(shim.call("start")))
        await asyncio.sleep(0)  # it takes the bundle as it is now
    ended = await asyncio.gather(*done)
    served = [bundle for bundle in bundles if (bundle / "shim.pid").exists()]
    assert sorted(one.returncode for one in ended) == [0, 1]
    assert len(served) == 1
    assert str(await shim_pid(shim.address)) == (served[0] / "shim.pid").read_text()
    await shut_down(shim.address)


@pytest.mark.parametrize(
    ("stdin", "text"),
    [
        (bare(log_level="loud"), 'failed to parse shim log level "loud": '),
        (bootstrap(log_level="loud"), 'failed to parse shim log level "loud": '),
        (b"\xff", "failed to read shim options from stdin: failed unmarshalling into Any: "),
        (
            Any(type_url="containerd.events.TaskExit").SerializeToString(),
            "failed to read shim options from stdin: unexpected runtime options type ",
        ),
        (bare(debug_type=Options.FILE), "panic: file log output mode is not supported"),
    ],
)
async def test_options_reach_the_server(shim: Shim, stdin: bytes, text: str) -> None:
    done = await shim.call("start", stdin=stdin)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(text)
    assert (shim.bundle / "panic.log").read_text().startswith(text)
    assert shim.files() == {"panic.log"}


async def test_a_server_lives_on_when_the_job_of_its_start_ends(shim: Shim) -> None:
    program = [sys.executable, str(Path(__file__).with_name("process_injob.py")), *shim.program]
    shim.program = program
    done = await shim.call("start")
    assert (done.returncode, done.stdout, done.stderr) == (100, shim.address.encode(), b"")
    assert str(await shim_pid(shim.address)) == (shim.bundle / "shim.pid").read_text()
    await shut_down(shim.address)


ALLOWED = """
    __future__ _bisect _collections _collections_abc _ctypes _functools _json _operator _sre
    _struct _winapi collections copyreg ctypes encodings enum errno functools itertools json keyword
    msvcrt operator re reprlib struct types
    podshim podshim.bundle podshim.hcsspec podshim.hcsspec.configfile podshim.shim
    podshim.transport podshim.ttrpc podshim.version podshim.wire
    podshim.shim.command podshim.shim.goflags podshim.shim.membership podshim.shim.program
    podshim.shim.runhcs podshim.transport.address podshim.transport.blocking_pipe
    podshim.ttrpc.blocking podshim.ttrpc.frames podshim.win32
"""


async def test_start_imports_next_to_nothing(shim: Shim) -> None:
    seen = shim.folder / "modules"
    program = shim.folder / "program.py"
    program.write_text(
        "import sys\n"
        "before = set(sys.modules)\n"
        "from podshim.shim.runhcs.main import main\n"
        "try:\n"
        "    main('windows.cases.process_engines:Good')\n"
        "finally:\n"
        "    names = ' '.join(set(sys.modules) - before)\n"
        f"    with open({str(seen)!r}, 'w') as file:\n"
        "        file.write(names)\n"
    )
    shim.program = [sys.executable, str(program)]
    for name, annotations in (("i", {}), ("j", {KIND: "container", SANDBOX: "i"})):
        shim.spec(**annotations)
        done = await shim.call("start", name=name)
        assert done.returncode == 0, done.stderr
        modules = {
            module if module.startswith("podshim") else module.partition(".")[0]
            for module in seen.read_text().split()
        }
        strange = {
            module
            for module in modules - set(ALLOWED.split())
            if not module.startswith(("podshim.win32.", "podshim.shim.runhcs."))
        }
        assert not strange
        heavy = {"serve", "server", "options", "delete", "logpipe"}
        assert modules.isdisjoint(f"podshim.shim.runhcs.{name}" for name in heavy)
    await shut_down(shim.address)
