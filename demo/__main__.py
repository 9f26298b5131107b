"""`make demo`: a pod under a private containerd, for somebody who sees a shim for the first time.

The story: a pod of a sandbox and two containers comes up through podshim's shim; all three share
one shim process; we run a command in one and follow the output of another; then the shim is killed
as brutally as possible, and containerd cleans up with the shim's `delete` command.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import image
from narrator import WIDTH, show, tell, title
from stage import NAMESPACE, RUNTIME, Stage, play, wait_for

POD = "pod1"
SANDBOX = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": POD,
}
MEMBER = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": POD,
}


def ctr(stage: Stage, *words: str) -> str:
    """Run a ctr command before the reader's eyes."""
    output = stage.run(*words)
    show(f"ctr {_shorten(stage, words)}", output)
    return output


def _shorten(stage: Stage, words: Sequence[str]) -> str:
    """Words as one would type them, the demo's folder as `…`."""
    return shlex.join(words).replace(str(stage.folder), "…")


def container(annotations: dict[str, str], name: str, *command: str) -> list[str]:
    """The words of `ctr run` for a container of the pod."""
    marks = [f"--annotation={key}={value}" for key, value in annotations.items()]
    return ["run", "--runtime", RUNTIME, *marks, image.NAME, name, *command]


def run_container(stage: Stage, annotations: dict[str, str], name: str, *command: str) -> None:
    """Start a container of the pod, detached and without streams, before the reader's eyes."""
    words = container(annotations, name, *command)
    words[1:1] = ["--detach", "--null-io"]
    show(f"ctr {_shorten(stage, words)}", stage.run(*words) or "(it runs)")


def the_pod_comes_up(stage: Stage) -> subprocess.Popen[bytes]:
    """Start the sandbox and both containers; one keeps talking."""
    title("A pod comes up")
    tell("""containerd runs nothing itself. It executes `containerd-shim-runoci-v1 … start`, reads
        an address from its output, and asks whoever serves there to create and start the
        container. First the pod's sandbox, which holds the pod's namespaces in Kubernetes:""")
    run_container(stage, SANDBOX, POD, "/bin/sleep", "3600")
    tell("""Then a container of that pod. Its annotations name the sandbox, so `start` finds the
        shim that is already there and answers with its address; no second one is made:""")
    run_container(stage, MEMBER, "web", "/bin/sleep", "3600")
    tell("""The third one talks. Its output does not pass through the shim at all: the container has
        containerd's own fifo as its standard output. We stay attached and read along:""")
    script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done"
    words = container(MEMBER, "talker", "/bin/sh", "-c", script)
    talker, output = stage.begin(*words)
    wait_for(lambda: "line 4\n" in output.read_text(), "the container to talk")
    show(f"ctr {_shorten(stage, words)}", output.read_text() + "…")
    return talker


def one_process_serves_all(stage: Stage) -> int:
    """Show that there is one shim, and what is in it."""
    title("One process serves them all")
    ctr(stage, "task", "ls")
    ((pid, line),) = stage.shims()
    line = textwrap.fill(f"{pid} {line}".replace(str(stage.folder), "…"), WIDTH - 4)
    show("ps -e -o pid,args | grep containerd-shim", line)
    tell(f"""Three containers, one shim: process {pid}. Each bundle says so as well, which is what
        an operator looks at:""")
    facts = (f"{name}: {(stage.state / name / 'shim.pid').read_text()}" for name in _containers())
    show("for c in pod1 web talker; do cat …/$c/shim.pid; done", "\n".join(facts))
    return pid


def _containers() -> tuple[str, ...]:
    return (POD, "web", "talker")


def a_command_in_a_container(stage: Stage) -> None:
    """Run an exec, show its status."""
    title("A command in a running container")
    tell("An exec is one more process in the container. Its output and status come back to us:")
    words = ["task", "exec", "--exec-id", "look", "web"]
    script = "echo I am $$ here; ps; exit 7"
    done = subprocess.run(
        stage.ctr(*words, "/bin/sh", "-c", script),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    command = _shorten(stage, (*words, "/bin/sh", "-c", script))
    show(f"ctr {command}; echo status $?", f"{done.stdout}status {done.returncode}")
    if done.returncode != 7:
        raise SystemExit(f"the exec ended with {done.returncode}: {done.stderr}")


def the_shim_is_killed(stage: Stage, shim: int, talker: subprocess.Popen[bytes]) -> None:
    """Kill the shim, show what is left of the pod: nothing."""
    title("The shim is killed")
    tell(f"""Nothing worse can happen to a shim: `kill -9 {shim}`. containerd sees its connections
        end, and executes `containerd-shim-runoci-v1 … delete` for each container: it kills what
        is left, removes the container from runc, unmounts its file system, and reports how it
        ended. `ctr events` runs beside it:""")
    events, output = stage.begin("events")
    wait_for(lambda: _listens(events), "ctr to subscribe to events")
    before = len(stage.mounts())
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: output.read_text().count("/tasks/delete") == 3, "containerd to clean up")
    news = re.findall(rf"{NAMESPACE} (/tasks/\S+ \{{.*\}})", output.read_text())
    show(f"kill -9 {shim}; ctr events", "\n".join(map(_without_numbers, news)))
    talker.wait(30)
    ctr(stage, "task", "ls")
    left = stage.mounts()
    show(f"mount | grep -c rootfs    # before: {before}", str(len(left)))
    show("ps -e -o args | grep -c containerd-shim", str(len(stage.shims())))
    tell("""No process, no mount, no container: and every container's end was reported, with status
        137, which is 128 + SIGKILL.""")
    if left or stage.shims() or sum("/tasks/exit" in line for line in news) != 3:
        raise SystemExit(f"the pod was not cleaned up: {left} {stage.shims()} {news}")


def _listens(events: subprocess.Popen[bytes]) -> bool:
    """Whether ctr is waiting for events: its process has a connected socket."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{events.pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.startswith("socket:") for link in links)


def _without_numbers(line: str) -> str:
    return re.sub(r',?"(pid|exited_at)":("[^"]*"|\d+)', "", line)


def story(stage: Stage) -> None:
    """The whole demo."""
    title("podshim")
    version = subprocess.run(
        ["containerd", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    tell(f"""This is containerd {version}, started for this demo in namespaces and a folder of its
        own ({stage.folder}). The machine's own containerd, if there is one, notices nothing.""")
    talker = the_pod_comes_up(stage)
    shim = one_process_serves_all(stage)
    a_command_in_a_container(stage)
    the_shim_is_killed(stage, shim, talker)
    title("The end")
    for name in _containers():
        stage.run("container", "rm", name)
    tell("What was made for this demo is removed now: processes, mounts, cgroups, and the folder.")


if __name__ == "__main__":
    sys.exit(play(story))
