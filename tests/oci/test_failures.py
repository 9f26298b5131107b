"""What goes wrong is told as it is, in time, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci.oci_support import NAMESPACE, Holdings, Workshop, children, settled
from podshim.engine import Mount, Stdio, TypedValue
from podshim.engines.oci import runtime as runtime_module, runtimelog
from podshim.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ShimError,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def make(text: str) -> str:
        path = tmp_path / "fake-runtime"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)

    return make


def state_folder(shop: Workshop, request_id: str) -> Path:
    return Path("/run/containerd/runc") / NAMESPACE / request_id


async def test_a_missing_binary_is_named(shop: Workshop) -> None:
    before = Holdings.now()
    request = shop.request(shop.spec("/bin/true"), binary_name="no-runc")
    with pytest.raises(ShimError) as caught:
        await shop.create(request)
    assert str(caught.value) == (
        'OCI runtime create failed: exec: "no-runc": executable file not found in $PATH'
    )
    await settled(before)


async def test_a_missing_path_is_named(shop: Workshop) -> None:
    request = shop.request(shop.spec("/bin/true"), binary_name="/no/such/runtime")
    with pytest.raises(ShimError) as caught:
        await shop.create(request)
    assert str(caught.value) == (
        "OCI runtime create failed: fork/exec /no/such/runtime: no such file or directory"
    )


async def test_a_lack_of_descriptors_is_told_with_what_lacked_them(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = Holdings.now()
    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(ShimError) as caught:
        await shop.create(shop.request(shop.spec("/bin/true")))
    assert str(caught.value) == (
        f"OCI runtime create failed: fork/exec {shutil.which(shop.runtime)}: too many open files"
    )
    await settled(before)


async def test_a_missing_bundle_is_not_found(shop: Workshop) -> None:
    request = shop.request(shop.spec("/bin/true"))
    for name in os.listdir(request.bundle.path):
        os.unlink(request.bundle.file(name))
    os.rmdir(request.bundle.path)
    with pytest.raises(NotFoundError, match="no such file or directory"):
        await shop.create(request)


@pytest.mark.parametrize("config", [None, "{", "[]", "{}"])
async def test_a_broken_spec_is_refused_by_the_runtime(shop: Workshop, config: str | None) -> None:
    before = Holdings.now()
    request = shop.request(None)
    if config is not None:
        Path(request.bundle.file("config.json")).write_text(config)
    with pytest.raises(ShimError, match=r"OCI runtime create failed: .+"):
        await shop.create(request)
    await settled(before)
    assert not state_folder(shop, request.id).exists()


async def test_a_missing_rootfs_or_program_leaves_nothing(shop: Workshop) -> None:
    before = Holdings.now()
    for spec in (shop.spec("/bin/true", root="/no/such/rootfs"), shop.spec("/no/such/program")):
        request = shop.request(spec)
        with pytest.raises(
            ShimError, match=r"OCI runtime create failed: (?i:.*no such file)"
        ) as caught:
            await shop.create(request)
        assert "did not terminate successfully" not in str(caught.value)
        assert not state_folder(shop, request.id).exists()
    await settled(before)


async def test_a_failing_mount_undoes_the_others(shop: Workshop) -> None:
    before = Holdings.now()
    mounts = [
        Mount("tmpfs", "tmpfs", options=("size=1m",)),
        Mount("bind", "/no/such/source", options=("rbind", "ro")),
    ]
    with pytest.raises(ShimError) as caught:
        await shop.create(shop.request(shop.spec("/bin/true"), mounts=mounts))
    text = str(caught.value)
    assert text.startswith('failed to mount rootfs component: mount source: "/no/such/source", ')
    assert text.endswith("err: no such file or directory")
    await settled(before)


async def test_a_failed_create_unmounts_the_rootfs(shop: Workshop) -> None:
    before = Holdings.now()
    mounts = [Mount("bind", str(shop.rootfs), options=("rbind", "ro"))]
    request = shop.request(shop.spec("/no/such/program", root="rootfs"), mounts=mounts)
    with pytest.raises(ShimError, match="OCI runtime create failed"):
        await shop.create(request)
    await settled(before)
    assert os.listdir(request.bundle.rootfs) == []


async def test_unknown_options_are_refused_before_anything_happens(shop: Workshop) -> None:
    request = replace(shop.request(shop.spec("/bin/true")), options=TypedValue("a.b/C", b"x"))
    with pytest.raises(InvalidArgumentError, match=r"'C' are not understood"):
        await shop.create(request)
    assert not os.path.exists(request.bundle.file("options.json"))


async def test_a_hanging_runtime_is_killed(
    shop: Workshop, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {**runtime_module.LIMITS, "create": 0.5, "delete": 0.5}
    monkeypatch.setattr(runtime_module, "LIMITS", limits)
    before = Holdings.now()
    began = time.monotonic()
    binary = script("trap '' TERM\nsleep 600 & wait\nsleep 600\n")
    with pytest.raises(DeadlineExceededError) as caught:
        await shop.create(shop.request(shop.spec("/bin/true"), binary_name=binary))
    assert "OCI runtime create failed: fake-runtime create: it did not end" in str(caught.value)
    assert time.monotonic() - began < 20
    await settled(before)


async def test_a_runtime_that_writes_no_pid(shop: Workshop, script: Callable[[str], str]) -> None:
    before = Holdings.now()
    with pytest.raises(ShimError, match="failed to retrieve OCI runtime container pid: open "):
        await shop.create(shop.request(shop.spec("/bin/true"), binary_name=script("exit 0\n")))
    await settled(before)


async def test_a_runtime_that_names_a_stranger(
    shop: Workshop, script: Callable[[str], str]
) -> None:
    binary = script('case "$*" in *" create "*) printf 1 > init.pid;; esac\n')
    with pytest.raises(ShimError, match="process 1 is not a child of the shim"):
        await shop.create(shop.request(shop.spec("/bin/true"), binary_name=binary))


async def test_a_flood_of_output_hurts_nobody(shop: Workshop, script: Callable[[str], str]) -> None:
    binary = script("yes | head -c 20000000 >&2\nexit 3\n")
    fifos = shop.streams(terminal=True)
    spec = shop.spec("/bin/true", terminal=True)
    with pytest.raises(ShimError, match="OCI runtime create failed: unable to retrieve OCI"):
        await shop.create(shop.request(spec, fifos.stdio, binary_name=binary))


async def test_an_old_error_is_not_told_again(shop: Workshop, script: Callable[[str], str]) -> None:
    entry = json.dumps({"level": "error", "msg": "old trouble", "time": "t"})
    request = shop.request(shop.spec("/bin/true"), binary_name=script("echo new >&2; exit 1\n"))
    Path(request.bundle.file("log.json")).write_text(entry + "\n")
    with pytest.raises(ShimError) as caught:
        await shop.create(request)
    assert "old trouble" not in str(caught.value)
    assert "did not terminate successfully: exit status 1" in str(caught.value)


async def test_a_log_grown_long_is_emptied_and_still_tells_the_cause(shop: Workshop) -> None:
    """A probe whose program is missing adds to it every few seconds, for months."""
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    log = Path(box.request.bundle.file("log.json"))
    log.write_bytes(b"x" * (runtimelog.MAX_LOG + 1))
    process = box.request.bundle.config()["process"]
    assert isinstance(process, dict)
    process["args"] = ["/no/such"]
    exec_ = await box.container.exec("e", json.dumps(process).encode(), Stdio())
    with pytest.raises(ShimError, match=r"OCI runtime exec failed: .*(/no/such|no such file)"):
        await exec_.start()
    await exec_.delete()
    assert log.stat().st_size < runtimelog.MAX_READ
    await box.container.kill(9, everyone=False)
    await box.container.init.wait()
    await box.remove()


async def test_an_id_that_is_taken_stays_with_its_owner(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    other = shop.request(shop.spec("/bin/true"))
    with pytest.raises(ShimError, match="already exists"):
        await shop.create(replace(other, id=box.request.id))
    assert box.container.init.pid in children()
    await box.container.kill(9, everyone=False)
    assert (await box.container.init.wait()).status == 137
    await box.remove()


async def test_exec_of_a_missing_program_leaves_the_container(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    before = Holdings.now()
    process = box.request.bundle.config()["process"]
    assert isinstance(process, dict)
    process["args"] = ["/no/such"]
    exec_ = await box.container.exec("e", json.dumps(process).encode(), Stdio())
    with pytest.raises(FailedPreconditionError, match="process not created"):
        await exec_.kill(9)
    with pytest.raises(ShimError, match=r"OCI runtime exec failed: .*(/no/such|no such file)"):
        await exec_.start()
    assert exec_.pid == 0
    await exec_.delete()
    await settled(before)
    assert [name for name in os.listdir(box.request.bundle.path) if "process" in name] == []
    await box.container.kill(9, everyone=False)
    await box.container.init.wait()
    with pytest.raises(FailedPreconditionError, match="init process is not running"):
        await exec_.start()
    await box.remove()


@pytest.mark.parametrize("end", ["echo $! > $(pwd)/e.pid; exit 1", "sleep 600"])
async def test_a_failing_exec_leaves_no_process(
    shop: Workshop, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The runtime dies, or is killed for its slowness, when it has already made the process."""
    monkeypatch.setattr(runtime_module, "LIMITS", {**runtime_module.LIMITS, "exec": 2})
    binary = script(
        f'case "$*" in *" exec "*) setsid sleep 600 & {end};; *) exec {shop.runtime} "$@";; esac\n'
    )
    request = shop.request(shop.spec("/bin/sleep", "600"), binary_name=binary)
    box = await shop.create(request)
    await box.container.init.start()
    before = Holdings.now()
    process = json.dumps(request.bundle.config()["process"]).encode()
    exec_ = await box.container.exec("e", process, Stdio())
    with pytest.raises(ShimError, match="OCI runtime exec failed"):
        await exec_.start()
    await settled(before)
    await exec_.delete()
    await box.container.kill(9, everyone=False)
    await box.container.init.wait()
    await box.remove()


@pytest.mark.parametrize("spec", [b"{", b"[]", b"\xff", b"1", b"[" * 100000])
async def test_an_exec_spec_must_be_an_object(shop: Workshop, spec: bytes) -> None:
    box = await shop.box("/bin/sleep", "600")
    with pytest.raises(InvalidArgumentError, match="exec spec is not"):
        await box.container.exec("e", spec, Stdio())
    await box.remove()


async def test_a_container_removed_behind_our_back(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    runtime = box.container._runtime  # type: ignore[attr-defined]
    await runtime.run("delete", "--force", box.request.id)
    assert (await box.container.init.wait()).status == 137
    for everyone in (False, True):
        with pytest.raises(NotFoundError):
            await box.container.kill(9, everyone=everyone)
    await box.remove()


async def test_init_killed_before_its_start(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.kill(9, everyone=False)
    assert (await box.container.init.wait()).status == 137
    with pytest.raises(ShimError, match="OCI runtime start failed: "):
        await box.container.init.start()
    await box.remove()
