"""Command lines, error texts and other pure parts, by tables."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from podshim.engines.oci import commands, runtimelog
from podshim.engines.oci.cleanup import is_in_cgroup
from podshim.engines.oci.commandline import find_binary, frame, runtime_environment
from podshim.engines.oci.facts import SpecFacts
from podshim.engines.oci.launcher import exec_pid_file, read_pid
from podshim.engines.oci.options import CheckpointOptions, RuntimeOptions
from podshim.engines.oci.process import kill_error
from podshim.engines.oci.stdio import split
from podshim.errors import NotFoundError, ShimError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_frame() -> None:
    plain = "runc --root /run/containerd/runc/ns --log /b/log.json --log-format json"
    assert frame("runc", RuntimeOptions(), "ns", "/b", systemd=False) == plain.split()
    other = RuntimeOptions(root="/r")
    line = "crun --root /r/ns --log /b/log.json --log-format json --systemd-cgroup"
    assert frame("crun", other, "ns", "/b", systemd=True) == line.split()


def test_create() -> None:
    line = "--bundle /b --pid-file /b/init.pid c"
    assert commands.create(RuntimeOptions(), "/b", "/b/init.pid", "", "c") == line.split()
    options = RuntimeOptions(no_pivot_root=True, no_new_keyring=True)
    line = "--bundle /b --pid-file /b/p --console-socket /s --no-pivot --no-new-keyring c"
    assert commands.create(options, "/b", "/b/p", "/s", "c") == line.split()


def test_exec() -> None:
    line = "--process /j --detach --pid-file /p c"
    assert commands.exec_("/j", "/p", "", "c") == line.split()
    line = "--process /j --console-socket /s --detach --pid-file /p c"
    assert commands.exec_("/j", "/p", "/s", "c") == line.split()


def test_checkpoint() -> None:
    line = "--image-path /i --work-path /w --leave-running c"
    options = CheckpointOptions()
    assert commands.checkpoint(options, "/i", "/w", "c", crun=False) == line.split()
    options = CheckpointOptions(
        exit=True,
        open_tcp=True,
        external_unix_sockets=True,
        terminal=True,
        file_locks=True,
        empty_namespaces=("network", "ipc"),
        parent_path="/p",
    )
    line = (
        "--image-path /i --work-path /w --parent-path /p --tcp-established --ext-unix-sk"
        " --shell-job --file-locks"
    )
    namespaces = " --empty-ns network --empty-ns ipc"
    assert commands.checkpoint(options, "/i", "/w", "c", crun=True) == f"{line} c".split()
    full = f"{line}{namespaces} c".split()
    assert commands.checkpoint(options, "/i", "/w", "c", crun=False) == full


def test_restore() -> None:
    options = RuntimeOptions(no_pivot_root=True, criu_work_path="/cw")
    line = (
        "--image-path /i --work-path /cw --parent-path /p --detach --pid-file /f"
        " --console-socket /s --no-pivot --no-subreaper --bundle /b c"
    )
    got = commands.restore(options, "/b", "/i", "/p", "/f", "/s", "c", crun=False)
    assert got == line.split()
    line = "--image-path /i --work-path /b/work --detach --pid-file /f --bundle /b c"
    got = commands.restore(RuntimeOptions(), "/b", "/i", "", "/f", "", "c", crun=True)
    assert got == line.split()


def test_finding_a_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "runc").touch(0o755)
    assert find_binary("runc") == str(tmp_path / "runc")
    for name, text in (
        ("no-runc", 'exec: "no-runc": executable file not found in $PATH'),
        ("/no/runc", "fork/exec /no/runc: no such file or directory"),
        (str(tmp_path), f"fork/exec {tmp_path}: permission denied"),
    ):
        with pytest.raises(ShimError) as caught:
            find_binary(name)
        assert str(caught.value) == text


def test_systemd_is_not_notified_by_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/x")
    monkeypatch.setenv("KEPT", "yes")
    environment = runtime_environment()
    assert "NOTIFY_SOCKET" not in environment
    assert environment["KEPT"] == "yes"


ERROR = '{"level":"error","msg":" first ","time":"t"}\n'


@pytest.mark.parametrize(
    ("log", "text"),
    [
        ("", ""),
        (ERROR, "first"),
        (ERROR + '{"level":"error","msg":"second"}\n{"level":"warning","msg":"w"}\n', "second"),
        (ERROR + "not json\n", "first"),
        ('vel":"error","msg":"half"}\n' + ERROR, "first"),
        ('{"level":"info","msg":"i"}\n', ""),
        ('["level"]\n7\nnull\n', ""),
        ('{"level":"error"}\n', ""),
        ('{"level":"error","msg":7}\n', "7"),
    ],
)
def test_the_last_error_of_a_log(log: str, text: str) -> None:
    assert runtimelog.last_error(log.encode()) == text


@given(st.binary(max_size=300))
def test_no_log_is_too_broken(log: bytes) -> None:
    assert isinstance(runtimelog.last_error(log), str)


def test_only_what_a_command_wrote_counts(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    assert runtimelog.position(str(path)) == 0
    path.write_text(ERROR)
    start = runtimelog.position(str(path))
    assert runtimelog.read_since(str(path), start) == b""
    with path.open("a") as file:
        file.write("x" * runtimelog.MAX_READ + "\nend\n")
    assert runtimelog.read_since(str(path), start).endswith(b"x\nend\n")
    assert len(runtimelog.read_since(str(path), start)) == runtimelog.MAX_READ
    path.write_text("new\n")
    assert runtimelog.read_since(str(path), 10_000) == b"new\n"


def test_a_log_that_has_grown_long_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    runtimelog.trim(str(path))
    assert not path.exists()
    path.write_bytes(b"x" * runtimelog.MAX_LOG)
    runtimelog.trim(str(path))
    assert path.stat().st_size == runtimelog.MAX_LOG
    path.write_bytes(b"x" * (runtimelog.MAX_LOG + 1))
    runtimelog.trim(str(path))
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("x: os: process already finished", NotFoundError, "process already finished: not found"),
        ("container not running", NotFoundError, "process already finished: not found"),
        ("kill: No such process", NotFoundError, "process already finished: not found"),
        ("the container `a` is not running", NotFoundError, "process already finished: not found"),
        ("container does not exist", NotFoundError, "no such container: not found"),
        ("container `a` does not exist", NotFoundError, "no such container: not found"),
        (
            "error opening file `/r/a/status`: No such file or directory",
            NotFoundError,
            "no such container: not found",
        ),
        ("no luck", ShimError, "unknown error after kill: no luck"),
    ],
)
def test_what_a_refused_kill_means(text: str, kind: type[ShimError], message: str) -> None:
    error = kill_error(text)
    assert type(error) is kind
    assert str(error) == message


@pytest.mark.parametrize(
    ("spec", "facts"),
    [
        ("{}", SpecFacts(shared_pids=True)),
        ('{"linux": null, "process": null}', SpecFacts(shared_pids=True)),
        ('{"linux": {"namespaces": "x"}, "process": []}', SpecFacts(shared_pids=True)),
        ('{"linux": {"namespaces": [null, {"type": "ipc"}]}}', SpecFacts(shared_pids=True)),
        ('{"linux": {"namespaces": [{"type": "pid"}]}}', SpecFacts(shared_pids=False)),
        (
            '{"linux": {"namespaces": [{"type": "pid", "path": "/p"}]}}',
            SpecFacts(shared_pids=True),
        ),
        ('{"process": {"selinuxLabel": "x"}}', SpecFacts(shared_pids=True, labelled=True)),
    ],
)
def test_facts_of_a_spec(spec: str, facts: SpecFacts) -> None:
    assert SpecFacts.of(json.loads(spec)) == facts


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "9" * 40])
def test_a_pid_file_without_a_pid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "init.pid"
    path.write_text(text)
    with pytest.raises(ShimError):
        read_pid(str(path))
    with pytest.raises(ShimError, match="No such file"):
        read_pid(os.fspath(tmp_path / "none"))


def test_no_exec_gets_the_pid_file_of_the_init() -> None:
    assert exec_pid_file("e1") == "e1.pid"
    assert exec_pid_file("init") == ".init.pid"
    assert exec_pid_file("shim") == ".shim.pid"


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("/run/x", ("fifo", "/run/x")),
        ("relative", ("fifo", "/b/relative")),
        ("fifo:///run/x%20y?z", ("fifo", "/run/x%20y?z")),
        ("file:///var/a%20b", ("file", "/var/a b")),
        ("binary:///bin/l?a=b", ("binary", "/bin/l")),
        ("/odd:path", ("fifo", "/odd:path")),
    ],
)
def test_schemes(uri: str, parts: tuple[str, str]) -> None:
    assert split(uri, "/b") == parts


def test_a_uri_that_can_not_be_parsed() -> None:
    with pytest.raises(ShimError, match="unable to parse stdout uri"):
        split("file://[x", "/b")


@pytest.mark.parametrize(
    ("membership", "path", "expected"),
    [
        ("0::/default/c1\n", "/default/c1", True),
        ("4:memory:/kubepods/pod1/c1\n0::/\n", "/kubepods/pod1/c1", True),
        ("0::/kubepods/pod1/c1/child\n", "/kubepods/pod1/c1", True),
        ("0::/kubepods/pod1/c12\n", "/kubepods/pod1/c1", False),
        ("0::/system.slice/cri-containerd-c1.scope\n", "system.slice:cri-containerd:c1", True),
        ("0::/system.slice/cri-containerd-c2.scope\n", "system.slice:cri-containerd:c1", False),
        ("0::/c1\n", "", True),
        ("0::/user.slice\n", "", False),
        ("", "/x", False),
    ],
)
def test_whose_cgroup_it_is(membership: str, path: str, expected: bool) -> None:
    assert is_in_cgroup(membership, path, "c1") is expected
