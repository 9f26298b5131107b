"""What HostProcess containers are given: variables, folders, programs, users, limits; figures."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from podshim.api.runhcs_stats_pb2 import Statistics
from podshim.engine import Stdio
from podshim.engines.hcs.hostprocess import create
from podshim.engines.hcs.hostprocess.application import find_application
from podshim.engines.hcs.hostprocess.launching import _find
from podshim.errors import InvalidArgumentError, ShimError
from podshim.win32 import searching
from podshim.win32.jobs import Job
from windows.cases.hostprocesses import VOLUME, Layers, ended, finish, handle_count, host, python

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
FACTS = (
    "import json, os; print(json.dumps({'cwd': os.getcwd(), 'env': dict(os.environ)}), flush=True)"
)


async def facts_of(folder: Path, *, rootfs: str = "", **process: Any) -> dict[str, Any]:
    annotations = {"microsoft.com/hostprocess-inherit-user": "true"}
    if rootfs:
        annotations["microsoft.com/hostprocess-rootfs-location"] = rootfs
    async with host(folder) as machine:
        client = machine.client()
        container = await machine.create(
            python(FACTS), client.stdio, annotations=annotations, **process
        )
        await container.init.start()
        assert await ended(container.init) == 0
        await finish(container)
        await client.ends()
        found: dict[str, Any] = json.loads(client.out)
        return {**found, "id": container.id}


async def test_a_process_starts_at_its_files(tmp_path: Path) -> None:
    facts = await facts_of(tmp_path)
    place = rf"C:\hpc\{facts['id']}"
    assert facts["cwd"].lower() == place.lower()
    assert facts["env"]["CONTAINER_SANDBOX_MOUNT_POINT"] == place + "\\"
    assert not os.path.exists(place)


async def test_a_folder_is_one_of_the_containers_files(tmp_path: Path) -> None:
    facts = await facts_of(tmp_path, cwd="C:\\app\\..\\deep\\er")
    assert facts["cwd"].lower() == rf"C:\hpc\{facts['id']}\deep\er".lower()
    facts = await facts_of(tmp_path, cwd="..\\..\\x")
    assert facts["cwd"].lower() == rf"C:\hpc\{facts['id']}\x".lower()


async def test_the_place_has_a_variable(tmp_path: Path) -> None:
    facts = await facts_of(
        tmp_path,
        rootfs=str(tmp_path / "roots"),
        cwd="%CONTAINER_SANDBOX_MOUNT_POINT%\\sub",
        env=["WHERE=$env:CONTAINER_SANDBOX_MOUNT_POINT\\x", "EMPTY=", "TWICE=1", "twice=2"],
    )
    place = str(tmp_path / "roots" / facts["id"])
    assert facts["cwd"].lower() == f"{place}\\sub".lower()
    variables = {name.upper(): value for name, value in facts["env"].items()}
    assert variables["WHERE"] == f"{place}\\x"
    assert variables["TWICE"] == "2"
    assert "EMPTY" not in variables
    assert f";{place};" in variables["PATH"]
    assert variables["PATH"].endswith(r"System32\WindowsPowerShell\v1.0\;C:\WINDOWS\System32\Wbem")
    assert "SYSTEMROOT" in variables


async def test_our_own_variables_stay_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHIM", "1")
    assert "SECRET_OF_THE_SHIM" not in (await facts_of(tmp_path))["env"]


async def test_a_command_line_may_name_the_place(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        line = "cmd /c echo %CONTAINER_SANDBOX_MOUNT_POINT%\\x"
        client = machine.client()
        container = await machine.create([], client.stdio, commandLine=line)
        await container.init.start()
        assert await ended(container.init) == 0
        await finish(container)
        await client.ends()
        assert client.out == rf"C:\hpc\{container.id}\x" + "\n"


@pytest.mark.parametrize("location", ["relative", "\\rooted", "C:", r"\\server\share"])
async def test_a_place_must_be_an_absolute_path(tmp_path: Path, location: str) -> None:
    async with host(tmp_path) as machine:
        annotations = {"microsoft.com/hostprocess-rootfs-location": location}
        with pytest.raises(InvalidArgumentError, match="must be an absolute path"):
            await machine.create(python("pass"), annotations=annotations)
        assert machine.layers.mounted == 0


def places(folder: str) -> str:
    return f"{folder};{searching.system_folder()};{searching.windows_folder()}"


def find(line: str, folder: str = "C:\\windows\\") -> tuple[str, str]:
    application, result = find_application(line, lambda name: _find(places(folder), name))
    return application.lower(), result


def test_windows_finds_programs_for_us(tmp_path: Path) -> None:
    system = searching.system_folder().lower()
    assert find("ping") == (rf"{system}\ping.exe", "ping")
    assert find("cmd /c ping 127.0.0.1") == (rf"{system}\cmd.exe", "cmd /c ping 127.0.0.1")
    assert find("ping test") == (rf"{system}\ping.exe", "ping test")
    assert find('"ping" 127.0.0.1') == (rf"{system}\ping.exe", '"ping" 127.0.0.1')
    assert find("system32/ping")[0].replace("/", "\\") == rf"{system}\ping.exe"
    program = tmp_path / "with some spaces" / "my tool.exe"
    program.parent.mkdir()
    program.touch()
    (tmp_path / "with.exe").mkdir()  # a folder is no program
    assert find(f"{program} -a 'b  c'") == (str(program).lower(), f"\"{program}\" -a 'b  c'")
    assert find("with some spaces\\my tool x", str(tmp_path)) == (
        str(program).lower(),
        '"with some spaces\\my tool" x',
    )
    for line in ("nothing-of-this-name", '"nothing" x', "", '""'):
        with pytest.raises(ShimError, match="failed to find executable"):
            find(line)


async def test_a_program_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(["no-such-program", "x"], client.stdio)
        with pytest.raises(ShimError) as caught:
            await container.init.start()
        assert str(caught.value) == (
            'failed to get application name from commandline "no-such-program x": failed to find'
            ' executable "no-such-program x"'
        )
        assert await ended(container.init) == 1
        await finish(container)
        await client.ends()


async def test_what_is_no_program_fails_the_start(tmp_path: Path) -> None:
    text = tmp_path / "text.exe"
    text.write_text("no program")
    async with host(tmp_path) as machine:
        container = await machine.create([str(text)])
        with pytest.raises(ShimError, match=r"^failed to start host process: "):
            await container.init.start()
        assert await ended(container.init) == 1
        await finish(container)


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("", "failed to create user process token: empty username or group name passed"),
        ("a\\b\\c", "failed to create user process token: invalid user string `a\\b\\c`"),
    ],
)
async def test_there_must_be_a_user(tmp_path: Path, user: str, text: str) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(python("pass"), annotations={}, user={"username": user})
        with pytest.raises(ShimError) as caught:
            await container.init.start()
        assert str(caught.value) == text
        await finish(container)


async def test_a_user_who_cant_log_on_fails_the_start(tmp_path: Path) -> None:
    # Wine takes every name for a group's, makes the account, and can't put it into one.
    async with host(tmp_path) as machine:
        container = await machine.create(
            python("pass"), annotations={}, user={"username": "somebody"}
        )
        text = r"^failed to create user process token: failed to logon user: "
        with pytest.raises(ShimError, match=text):
            await container.init.start()
        assert await ended(container.init) == 1
        await finish(container)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"memory": {"limit": -1}}, "windows.resources.memory.limit must be a number"),
        ({"cpu": {"count": 1, "maximum": 5}}, "mutually exclusive"),
        ({"cpu": {"maximum": 10001}}, "processor rate of `10001` is invalid"),
        ({"cpu": {"shares": 10001}}, "processor weight value of `10001` is invalid"),
        ({"cpu": {"affinity": [{"mask": 0}]}}, "mask must not be 0"),
        ({"cpu": {"count": "many"}}, "windows.resources.cpu.count must be a number"),
    ],
)
async def test_limits_are_checked(tmp_path: Path, spec: dict[str, Any], text: str) -> None:
    async with host(tmp_path) as machine:
        with pytest.raises(ShimError, match=text):
            await machine.create(python("pass"), spec={"windows": {"resources": spec}})
        assert machine.layers.mounted == 0


async def test_a_job_with_a_limit_of_memory_still_ends_with_us(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        resources = {"memory": {"limit": 300 << 20}}
        container = await machine.create(
            python(SLEEP), client.stdio, spec={"windows": {"resources": resources}}
        )
        await container.init.start()
        await client.until("ready")
        container._job.job.close()
        await ended(container.init)


async def test_what_a_host_lacks_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resources = {
        "cpu": {"maximum": 5000, "affinity": [{"mask": 1}]},
        "storage": {"iops": 100},
    }
    async with host(tmp_path) as machine:
        container = await machine.create(python(SLEEP), spec={"windows": {"resources": resources}})
        await container.init.start()
        for _ in range(3):
            await container.statistics()
    said = [record.getMessage() for record in caplog.records]
    lacks = [text.partition("has no ")[2].partition(":")[0] for text in said if "has no" in text]
    assert sorted(lacks) == [
        "figures of input and output",
        "figures of memory",
        "limits of input and output",
        "limits of processor time",
        "processor affinity",
        "volumes at folders",
    ]


async def test_figures_of_a_job(tmp_path: Path) -> None:
    before = time.time()
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(
            python("import time\nwhile time.process_time() < 0.3: pass\n" + SLEEP), client.stdio
        )
        await container.init.start()
        await client.until("ready")
        [details] = await container.process_details()
        assert details.process_id == container.init.pid
        assert details.image_name.lower().startswith("python")
        assert before - 5 < details.created_at.seconds < time.time() + 5
        windows = (await container.statistics()).windows
        assert windows.processor.total_runtime_ns == (
            windows.processor.runtime_user_ns + windows.processor.runtime_kernel_ns
        )
        assert before - 1 < windows.container_start_time.seconds <= windows.timestamp.seconds
        assert 0 < windows.uptime_ns < 60 * 10**9
        assert not windows.HasField("storage")  # Wine does not tell
        told = await container.stats()
        assert told.type_url == "containerd.runhcs.stats.v1.Statistics"
        assert Statistics.FromString(told.value).HasField("windows")
        await container.init.kill(9)
        await ended(container.init)
        assert await container.process_details() == []


@pytest.mark.parametrize(
    ("mounts", "text"),
    [
        (
            [{"source": r"\\.\pipe\x", "destination": r"\\.\pipe\y"}],
            "named pipe mounts not supported for job containers - interact with the pipe directly",
        ),
        ([{"source": "", "destination": "C:\\x"}], "invalid OCI spec - a mount must have both"),
        ([{"source": "C:\\windows", "destination": "C:\\w"}], "failed to setup symlink from"),
    ],
)
async def test_mounts_that_cant_be(tmp_path: Path, mounts: list[Any], text: str) -> None:
    # Wine makes no symbolic links: a mount that can't be made is no shortcoming.
    async with host(tmp_path) as machine:
        before = handle_count()
        with pytest.raises(ShimError, match=text):
            await machine.create(python("pass"), spec={"mounts": mounts})
        assert machine.layers.mounted == 0
        assert handle_count() <= before + 2


async def test_a_volume_may_be_there_already(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        await machine.create(python("pass"), spec={"root": {"path": VOLUME + "\\"}})
        assert machine.layers.mounted == 0


async def test_a_read_only_root_is_told_and_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with host(tmp_path) as machine:
        await machine.create(python("pass"), spec={"root": {"readonly": True}})
        assert "its files can't be read-only" in caplog.text
        with pytest.raises(InvalidArgumentError, match=r"root\.readonly must be true or false"):
            await machine.create(python("pass"), spec={"root": {"readonly": "yes"}})
        assert machine.layers.mounted == 1


async def test_layers_must_be_a_volume(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        layers = Layers("C:\\folder")
        machine.facts = type(machine.facts)("cases", 20348, 2, layers.mount)
        with pytest.raises(ShimError, match="must be a volume GUID path"):
            await machine.create(python("pass"))
        assert layers.mounted == 0


async def test_an_id_has_one_job(tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        request = machine.request(python("pass"), Stdio())
        taken = Job(f"JobContainer_{request.id}")
        try:
            with pytest.raises(ShimError, match="failed to create job container"):
                await create(request, machine.facts)
        finally:
            taken.close()
        assert machine.layers.mounted == 0
