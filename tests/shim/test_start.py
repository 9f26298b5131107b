"""`start` with real processes: what it prints, what it leaves behind, and what it never does."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from podshim.api.runc_options_pb2 import Options
from podshim.shim.membership import GROUP, SANDBOX_ID
from podshim.wire import bytes_field, text_field
from shim.shim_box import Box, alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def box() -> Iterator[Box]:
    with Box() as made:
        yield made


def test_prints_an_address_that_is_served_at_once(box: Box) -> None:
    bundle = box.bundle("c1")
    address = box.start("c1")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.removeprefix("unix://"))
    assert (bundle / "address").read_text() == address
    assert alive(box.pid("c1"))
    assert sorted(os.listdir(bundle)) == ["address", "config.json", "panic.log", "shim.pid"]
    modes = {name: stat.S_IMODE((bundle / name).stat().st_mode) for name in os.listdir(bundle)}
    assert modes["panic.log"] == 0o600
    assert modes["address"] == modes["shim.pid"] == 0o644
    path = Path(address.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_ps_shows(box: Box) -> None:
    box.bundle("c1")
    inherited, ours = os.pipe()  # somebody's careless descriptor, which `start` inherits
    os.set_inheritable(inherited, True)  # noqa: FBT003 - the standard library's signature
    try:
        done = subprocess.run(
            box.words("start", "c1"),
            cwd=box.path / "b" / "c1",
            env=box.environment,
            input=box.params("c1"),
            capture_output=True,
            close_fds=False,
            check=True,
            timeout=60,
        )
    finally:
        os.close(inherited)
        os.close(ours)
    box.address(done.returncode, done.stdout, done.stderr)
    pid = box.pid("c1")
    proc = Path(f"/proc/{pid}")
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    assert fields[3] == str(pid)  # its session
    assert fields[2] == str(pid)  # its process group
    assert fields[4] == "0"  # no terminal
    assert (proc / "comm").read_text() == "containerd-shim\n"
    assert os.readlink(proc / "cwd") == "/"
    assert {os.readlink(proc / "fd" / number) for number in "01"} == {"/dev/null"}
    assert os.readlink(proc / "fd" / "2") == str(box.path / "b" / "c1" / "panic.log")
    # Beyond these: the listening socket, the event loop's epoll and its pair of sockets.
    others = [os.readlink(fd) for fd in (proc / "fd").iterdir() if int(fd.name) > 2]
    assert sorted(link.split(":")[0] for link in others) == ["anon_inode", *["socket"] * 3]
    parent = int(Path("/proc/self/oom_score_adj").read_text())
    assert int((proc / "oom_score_adj").read_text()) == min(parent + 1, 1000)
    words = (proc / "cmdline").read_text().split("\0")
    assert words[1] == box.program[1]
    assert words[words.index("-id") + 1] == "c1"


def test_the_server_survives_a_hangup_of_everything_that_started_it(box: Box) -> None:
    box.bundle("c1")
    process = box.begin("c1")
    address = box.finish(process)
    os.kill(box.pid("c1"), signal.SIGHUP)
    box.bundle("c2", {GROUP: "c1"})
    assert box.start("c2") == address


def test_a_group_shares_one_server(box: Box) -> None:
    box.bundle("pod", {SANDBOX_ID: "pod"})
    box.bundle("app", {SANDBOX_ID: "pod", "other": "x"})
    box.bundle("grouped", {GROUP: "pod", SANDBOX_ID: "elsewhere"})
    box.bundle("alone")
    address = box.start("pod")
    assert box.start("app") == box.start("grouped") == address
    assert box.pid("app") == box.pid("grouped") == box.pid("pod")
    assert (box.path / "b" / "app" / "address").read_text() == address
    assert box.start("alone") != address
    assert len(box.processes()) == 2


@pytest.mark.parametrize("group", ["", "../other/x", "x" * 100_000, "\x00", "\ud800"])
def test_a_hostile_group_is_a_group(box: Box, group: str) -> None:
    box.bundle("c1", {GROUP: group})
    box.bundle("c2", {GROUP: group})
    assert box.start("c1") == box.start("c2")
    assert len(box.processes()) == 1
    assert len(box.sockets_left()) == 1


@pytest.mark.parametrize("round_", range(3))
def test_twenty_starts_of_one_pod_make_one_server(box: Box, round_: int) -> None:
    names = [f"c{number}" for number in range(20)]
    for name in names:
        box.bundle(name, {SANDBOX_ID: "pod"})
    box.bundle("first", {SANDBOX_ID: "pod"})
    if round_:  # a dead server's socket lies about
        address = box.start("first")
        os.kill(box.pid("first"), signal.SIGKILL)
        wait_until(lambda: not box.processes())
        assert len(box.sockets_left()) == 1
    addresses = {box.finish(process) for process in [box.begin(name) for name in names]}
    assert len(addresses) == 1
    if round_:
        assert addresses == {address}
    assert {box.pid(name) for name in names} == set(box.processes())
    assert len(box.processes()) == 1
    assert len(box.sockets_left()) == 1


def test_a_server_that_starts_is_waited_for(box: Box) -> None:
    box.program = box.make_program("OpensWhenTold")
    box.bundle("c1", {GROUP: "g"})
    box.bundle("c2", {GROUP: "g"})
    first = box.begin("c1")
    wait_until(lambda: bool(box.sockets_left()))
    second = box.begin("c2")
    (box.path / "open").touch()
    assert box.finish(first) == box.finish(second)
    assert box.pid("c1") == box.pid("c2")


def test_joining_a_server_that_dies_while_it_starts_begins_again(box: Box) -> None:
    box.bundle("c1", {GROUP: "g"})
    box.bundle("c2", {GROUP: "g"})
    good = box.program
    box.program = box.make_program("OpensWhenTold")
    box.environment["THEN"] = "die"
    first = box.begin("c1")
    wait_until(lambda: len(box.processes()) == 1)
    wait_until((box.path / "b" / "c1" / "address").exists)
    box.program = good
    second = box.begin("c2")
    socket_path = str(box.sockets / box.sockets_left()[0])
    # The joiner is in the backlog when the kernel shows two sockets of that path.
    wait_until(lambda: Path("/proc/net/unix").read_text().count(socket_path) == 2)
    (box.path / "open").touch()
    out, err = first.communicate(timeout=60)
    assert (first.returncode, out) == (1, b"")
    assert b"died without a word" in err
    address = box.finish(second)
    assert box.processes() == [box.pid("c2")]
    assert box.start("c2") == address


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("FailsToOpen", "containerd-shim-failstoopen-v1: no cgroups here"),
        ("DiesTalking", "containerd-shim-diestalking-v1: first words\nlast words"),
        ("DiesSilently", "died without a word"),
        ("Missing", "shim_engines"),
    ],
)
def test_a_server_that_dies_makes_start_fail_in_its_own_words(
    box: Box, engine: str, text: str
) -> None:
    box.program = box.make_program(engine)
    bundle = box.bundle("c1")
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert text in done.stderr.decode()
    assert os.listdir(bundle) == ["config.json"]
    assert box.sockets_left() == []
    assert box.processes() == []


def test_a_server_that_never_serves_is_ended(box: Box) -> None:
    box.program = box.make_program("NeverOpens", SERVE_TIMEOUT=1.0)
    bundle = box.bundle("c1")
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"did not serve in time" in done.stderr
    assert os.listdir(bundle) == ["config.json"]
    assert box.sockets_left() == []
    assert box.processes() == []


def test_sigterm_is_no_reason_to_stop_half_way(box: Box) -> None:
    box.program = box.make_program("OpensWhenTold")
    bundle = box.bundle("c1")
    process = box.begin("c1")
    wait_until((bundle / "address").exists)
    process.terminate()
    (box.path / "open").touch()
    box.finish(process)
    assert alive(box.pid("c1"))
    # What the command does with the signal is not the server's.
    os.kill(box.pid("c1"), signal.SIGTERM)
    wait_until(lambda: not box.processes())


def test_a_hung_server_is_named_and_not_replaced(box: Box) -> None:
    box.bundle("c1", {GROUP: "g"})
    box.bundle("c2", {GROUP: "g"})
    box.start("c1")
    pid = box.pid("c1")
    os.kill(pid, signal.SIGSTOP)
    box.program = box.make_program("Good", JOIN_TIMEOUT=0.5)
    done = box.run("start", "c2")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"process {pid}, does not answer" in done.stderr.decode()
    assert box.processes() == [pid]
    os.kill(pid, signal.SIGCONT)
    assert box.start("c2") == (box.path / "b" / "c1" / "address").read_text()


def test_a_stranger_on_the_socket_is_not_mistaken_for_a_shim(box: Box) -> None:
    box.bundle("c1")
    address = box.start("c1")
    os.kill(box.pid("c1"), signal.SIGTERM)
    wait_until(lambda: not box.processes())
    path = address.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(path)
        stranger.listen()
        process = box.begin("c1")
        client, _ = stranger.accept()
        with client:
            client.recv(65536)
            client.sendall(b"\0\0\0\3\0\0\0\1\2\0\xff\xff\xff")
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert f"process {os.getpid()}" in err.decode()


def test_sigterm_ends_it_and_removes_its_socket(box: Box) -> None:
    bundle = box.bundle("c1")
    box.start("c1")
    os.kill(box.pid("c1"), signal.SIGTERM)
    wait_until(lambda: not box.processes())
    assert box.sockets_left() == []
    assert "panic.log" not in os.listdir(bundle)


def test_sigkill_leaves_a_socket_that_hurts_nobody(box: Box) -> None:
    box.bundle("c1")
    address = box.start("c1")
    first = box.pid("c1")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not box.processes())
    assert len(box.sockets_left()) == 1
    assert box.start("c1") == address
    assert box.processes() == [box.pid("c1")] != [first]


def test_a_successors_socket_is_left_alone(box: Box) -> None:
    box.bundle("c1")
    address = box.start("c1")
    first = box.pid("c1")
    os.unlink(address.removeprefix("unix://"))
    assert box.start("c1") == address
    assert len(box.processes()) == 2
    os.kill(first, signal.SIGTERM)
    wait_until(lambda: not alive(first))
    assert len(box.sockets_left()) == 1


def broken_json(bundle: Path) -> None:
    (bundle / "config.json").write_text("{")


def no_object(bundle: Path) -> None:
    (bundle / "config.json").write_text("[]")


def wrong_annotations(bundle: Path) -> None:
    (bundle / "config.json").write_text('{"annotations": {"a": 1}}')


def no_config(bundle: Path) -> None:
    (bundle / "config.json").unlink()


def deep_json(bundle: Path) -> None:
    (bundle / "config.json").write_text('{"a":' + "[" * 100_000)


def a_folder(bundle: Path) -> None:
    (bundle / "config.json").unlink()
    (bundle / "config.json").mkdir()


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (no_config, "config.json: No such file or directory"),
        (broken_json, "config.json is not valid JSON"),
        (no_object, "is not a JSON object"),
        (wrong_annotations, "annotations is not a map of strings"),
        (deep_json, "config.json is not valid JSON"),
        (a_folder, "config.json: Is a directory"),
    ],
)
def test_a_spoilt_bundle(box: Box, spoil: object, text: str) -> None:
    bundle = box.bundle("c1")
    assert callable(spoil)
    spoil(bundle)
    before = sorted(os.listdir(bundle))
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert text in done.stderr.decode()
    assert sorted(os.listdir(bundle)) == before
    assert box.processes() == []


@pytest.mark.parametrize("name", ["a" * 200, "a/b", "..", "a b", "", "ü"])
def test_a_wrong_id(box: Box, name: str) -> None:
    done = box.run("start", name, cwd=box.bundle("c1"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"identifier" in done.stderr
    assert box.processes() == []


def test_garbage_on_standard_input(box: Box) -> None:
    box.bundle("c1")
    done = box.run("start", "c1", data=b"garbage")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"neither BootstrapParams nor runtime options" in done.stderr
    assert box.processes() == []


def test_an_unusable_socket_folder(box: Box) -> None:
    box.bundle("c1")
    box.sockets.write_text("a file")
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"Not a directory: {box.sockets}".encode() in done.stderr
    box.sockets.unlink()
    box.sockets.symlink_to("/tmp")
    done = box.run("start", "c1")
    assert done.returncode == 1
    assert str(box.sockets).encode() in done.stderr
    assert box.processes() == []


def test_somebody_elses_socket_folder(private_world: None, box: Box) -> None:
    box.bundle("c1")
    box.sockets.mkdir()
    os.chown(box.sockets, 12345, 12345)
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"belongs to user 12345" in done.stderr


def test_a_socket_folder_open_to_others_is_closed_to_them(box: Box) -> None:
    box.bundle("c1")
    box.sockets.mkdir(mode=0o755)
    box.start("c1")
    assert stat.S_IMODE(box.sockets.stat().st_mode) == 0o700


@pytest.mark.parametrize("file", ["address", "shim.pid"])
def test_files_that_cant_be_written_end_the_server(box: Box, file: str) -> None:
    bundle = box.bundle("c1")
    (bundle / file).mkdir()
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Is a directory" in done.stderr
    assert box.processes() == []
    assert box.sockets_left() == []


def test_panic_log_is_never_written_through_a_link(box: Box) -> None:
    bundle = box.bundle("c1")
    victim = box.path / "victim"
    victim.write_text("precious")
    (bundle / "panic.log").symlink_to(victim)
    done = box.run("start", "c1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert victim.read_text() == "precious"
    assert box.processes() == []


def test_an_earlier_servers_last_words_are_kept(box: Box) -> None:
    bundle = box.bundle("c1")
    (bundle / "panic.log").write_text("from before\n")
    box.program = box.make_program("DiesTalking")
    done = box.run("start", "c1")
    assert done.returncode == 1
    assert b"from before" not in done.stderr
    assert (bundle / "panic.log").read_text() == "from before\nfirst words\nlast words\n"


def any_of(type_url: str, value: bytes) -> bytes:
    return text_field(1, type_url) + bytes_field(2, value)


@pytest.mark.parametrize(
    "options",
    [
        any_of("containerd.runc.v1.Options", Options(shim_cgroup="/none/x").SerializeToString()),
        any_of("runtimeoptions.v1.Options", bytes_field(3, b"ShimCgroup = '/none/x'")),
    ],
)
def test_a_cgroup_that_does_not_exist(private_world: None, box: Box, options: bytes) -> None:
    bundle = box.bundle("c1")
    done = box.run("start", "c1", data=options)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"failed to load cgroup /none/x" in done.stderr
    assert box.processes() == []
    assert os.listdir(bundle) == ["config.json"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TTRPC_ADDRESS": "/x"}, "plain"),
        ({"TTRPC_ADDRESS": "/x", "GRPC_ADDRESS": "/y", "MAX_SHIM_VERSION": "2"}, "json"),
    ],
)
def test_older_containerds_are_answered_as_they_like_it(
    private_world: None, box: Box, environment: dict[str, str], expected: str
) -> None:
    bundle = box.bundle("c1")
    done = box.run("start", "c1", data=b"", environment=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    address = (bundle / "address").read_text()
    assert address.startswith("unix:///run/containerd/s/")
    if expected == "plain":
        assert done.stdout.decode() == address
    else:
        assert json.loads(done.stdout) == {"version": 2, "address": address, "protocol": "ttrpc"}
    assert f"TTRPC_ADDRESS={environment['TTRPC_ADDRESS']}".encode() in (
        Path(f"/proc/{box.pid('c1')}/environ").read_bytes().split(b"\0")
    )
    os.kill(box.pid("c1"), signal.SIGTERM)
    wait_until(lambda: not os.path.exists(address.removeprefix("unix://")))


def test_the_longest_names(box: Box) -> None:
    name, namespace = "a" * 76, "n" * 76
    box.sockets = Path("/tmp") / ("s" * (42 - len("/tmp/") - 10) + box.path.name[-10:])
    assert len(str(box.sockets)) == 42
    box.bundle(name)
    try:
        done = subprocess.run(
            box.words("start", name, namespace=namespace),
            cwd=box.path / "b" / name,
            env=box.environment,
            input=box.params(name, namespace),
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert len(box.address(done.returncode, done.stdout, done.stderr)) == len("unix://") + 107
        os.kill(box.pid(name), signal.SIGTERM)
        wait_until(lambda: not box.processes())
    finally:
        box.sockets.rmdir()


#: All that `start` may import beyond what the bare interpreter has. `json` needs `re` and `enum`.
ALLOWED = """
    _collections _functools _json _operator _sha2 _sha256 _socket _sre _struct collections copyreg
    enum errno fcntl functools itertools json keyword operator re reprlib select struct types
    podshim podshim.bundle podshim.shim podshim.ttrpc podshim.ttrpc.frames podshim.wire
    podshim.shim.command podshim.shim.dialects podshim.shim.goflags podshim.shim.hosting
    podshim.shim.main podshim.shim.membership podshim.shim.placement podshim.shim.program
    podshim.shim.rendezvous podshim.shim.socketpath podshim.shim.spawn podshim.shim.start
    podshim.ttrpc.blocking
"""


def test_start_imports_next_to_nothing(box: Box) -> None:
    seen = box.path / "modules"
    program = Path(box.program[1])
    program.write_text(
        "import sys\n"
        "before = set(sys.modules)\n"
        "from podshim.shim.main import main\n"
        "try:\n"
        "    main('shim_engines:Good')\n"
        "finally:\n"
        f"    with open({str(seen)!r}, 'w') as file:\n"
        "        file.write(' '.join(set(sys.modules) - before))\n"
    )
    for name in ("c1", "c2"):  # one that serves, one that joins
        box.bundle(name, {GROUP: "g"})
        box.start(name)
        modules = {
            module if module.startswith("podshim") else module.partition(".")[0]
            for module in seen.read_text().split()
        }
        assert modules <= set(ALLOWED.split()), modules - set(ALLOWED.split())
