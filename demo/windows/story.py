"""The story of `make demo-windows`, told on Windows (or in Wine): a pod from `start` to `delete`.

containerd's part is played by `podshim.manager`; the shim is the real one, as containerd finds it.
"""

import asyncio
import json
import os
import platform
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from narrator import show, tell, title  # noqa: E402 - found by the line above

from podshim.api import runhcs_stats_pb2  # noqa: E402
from podshim.manager import Manager, Shim, Task, pod_annotations  # noqa: E402

POD = "pod1"
SORT = "import sys; print(*sorted(sys.stdin), sep='')"
PAUSE = ["ping", "-n", "3600", "127.0.0.1"]
HOST_PROCESS = {"microsoft.com/hostprocess-container": "true"}
INHERIT = {"microsoft.com/hostprocess-inherit-user": "true"}


def spec(folder: Path, name: str, words: list[str], annotations: dict[str, str]) -> dict[str, Any]:
    """What containerd's CRI writes into a container's `config.json`, shortened."""
    base, scratch = folder / f"{name}-base", folder / f"{name}-scratch"
    base.mkdir()
    scratch.mkdir()
    (scratch / "sandbox.vhdx").touch()
    return {
        "ociVersion": "1.1.0",
        "hostname": name,
        "process": {"args": words, "cwd": "C:\\", "user": {}},
        "root": {},
        "annotations": annotations,
        "windows": {
            "layerFolders": [str(base), str(scratch)],
            "resources": {"memory": {"limit": 256 << 20}},
        },
    }


def where(shim: Shim) -> str:
    """The two files that a shim leaves in a bundle."""
    bundle = Path(shim.bundle.path)
    return "\n".join((bundle / name).read_text() for name in ("address", "shim.pid"))


async def look_inside(task: Task) -> None:
    """Run execs in a container: output, input, status; then its numbers."""
    title("Commands in a running container")
    tell("""An exec is one more process in the container. The shim connects to pipes that containerd
        serves, and copies what the process prints:""")
    done = await task.run("look", ["cmd", "/c", "echo This is %COMPUTERNAME%. & exit 7"])
    show("exec: cmd /c echo This is %COMPUTERNAME%. & exit 7", done.stdout.decode())
    tell(f"It ended with status {done.status}. Input goes the other way round, to its end:")
    done = await task.run("sort", [sys.executable, "-c", SORT], stdin=b"pear\napple\nfig\n")
    show(f'exec: python -c "{SORT}" (reading pear, apple, fig)', done.stdout.decode())
    show("pids", ", ".join(map(str, await task.pids())))
    measured = await task.stats()
    assert isinstance(measured, runhcs_stats_pb2.Statistics)
    show("stats: memory", str(measured.windows.memory))


def host_saw(trace: Path) -> None:
    """Show what the Host Compute Service was asked for."""
    title("What Windows was asked for")
    tell("""Everything above went through the Host Compute Service, whose part a stand-in plays
        here; it keeps a record. On a Windows machine the very same calls reach Windows itself:""")
    lines = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    calls = [line for line in lines if line["what"] == "call"]
    counted = Counter(call["name"] for call in calls)
    show("calls by name", "\n".join(f"{n:4} {name}" for name, n in sorted(counted.items())))
    create = next(
        c for c in calls if c["name"] == "HcsCreateComputeSystem" and c["system"] == "web"
    )
    document = json.loads(create["document"])
    show("the document that made the container web", json.dumps(document, indent=2))


async def the_shim_is_killed(shim: Shim, others: list[Shim]) -> None:
    """Kill the server, show that everything ends, and what `delete` says."""
    title("The shim is killed")
    assert shim.process
    tell(f"""Nothing worse can happen to a shim: its process {shim.process.pid} is terminated. Its
        containers end with it, because Windows ends them when the last handle is closed. containerd
        notices, and executes `containerd-shim-runhcs-v1 … delete` for each container:""")
    await shim.kill()
    for each in [*others, shim]:
        ended = await each.delete()
        show(f"containerd-shim-runhcs-v1 -id {each.id} … delete", f"exit status {ended.status}")


async def a_pod(manager: Manager, folder: Path, trace: Path) -> None:
    """The first part: a pod of process-isolated containers."""
    title("A pod comes up")
    tell("""containerd runs nothing itself. In the folder of the pod's sandbox (the bundle, with its
        `config.json`) it executes `containerd-shim-runhcs-v1 … start`; that starts a server, and
        prints the name of its pipe:""")
    sandbox = spec(folder, POD, PAUSE, pod_annotations(POD, sandbox=True))
    async with manager.task(POD, spec=sandbox, stdin=False) as (host, pause):
        assert host.answer
        show("containerd-shim-runhcs-v1 -namespace demo -id pod1 … start", host.answer.address)
        await pause.start()
        tell(
            "Then a container of that pod: its `start` finds the shim that is there, and joins it:"
        )
        member = spec(folder, "web", PAUSE, pod_annotations(POD))
        async with manager.task("web", spec=member) as (joined, web):
            assert joined.answer
            show("containerd-shim-runhcs-v1 -namespace demo -id web … start", joined.answer.address)
            await web.start()
            show("type …\\web\\address …\\web\\shim.pid", where(joined))
            show("type …\\pod1\\address …\\pod1\\shim.pid", where(host))
            await look_inside(web)
            host_saw(trace)
            await the_shim_is_killed(host, [joined])


async def a_host_process_pod(manager: Manager, folder: Path) -> None:
    """The second part: a HostProcess container."""
    title("A HostProcess container")
    tell("""Some containers are there to manage the machine: Kubernetes calls them HostProcess. They
        are processes of the host in a job object, and need no Host Compute Service at all:""")
    name = "hpod"
    sandbox = spec(folder, name, PAUSE, pod_annotations(name, sandbox=True) | HOST_PROCESS)
    async with manager.task(name, spec=sandbox, stdin=False) as (_, pause):
        await pause.start()
        annotations = pod_annotations(name) | HOST_PROCESS | INHERIT
        words = ["cmd", "/c", "echo I see the host: %OS% & exit 3"]
        admin = spec(folder, "admin", words, annotations)
        async with manager.task("admin", spec=admin) as (_, task):
            reading = asyncio.ensure_future(task.read_all())
            await task.start()
            output, _ = await reading
            ended = await task.wait()
            show(words[-1], output.decode())
            tell(f"It ended with status {ended.status}. These events went to containerd:")
            await manager.events.wait("/tasks/exit", "admin")
            show("events of admin", "\n".join(manager.events.topics("admin")))
        await pause.kill(9)
        await pause.wait()


async def story() -> None:
    """The whole demo."""
    title("podshim on Windows")
    tell(f"""This is Python {platform.python_version()} for Windows, run by Wine in a folder of its
        own. The containers isolate nothing here, but the shim does not know: it makes the same
        calls as on a Windows server, and the processes, pipes and job objects are real ones.""")
    with tempfile.TemporaryDirectory(prefix="podshim-demo-") as name:
        folder = Path(name)
        trace = folder / "trace.jsonl"
        os.environ["HCS_STANDIN_TRACE"] = str(trace)
        async with Manager("io.containerd.runhcs.v1", namespace="demo") as manager:
            await a_pod(manager, folder, trace)
            await a_host_process_pod(manager, folder)
    title("The end")
    tell("""Everything that was made for this demo is removed now, and so is the Windows that it ran
        in.""")


if __name__ == "__main__":
    asyncio.run(story())
