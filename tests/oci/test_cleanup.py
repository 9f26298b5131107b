"""The `delete` command after a shim that died: nothing of its container stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oci.oci_support import NAMESPACE, Holdings, Workshop, children, settled, until
from podshim.bundle import Bundle
from podshim.engine import Mount
from podshim.engines.oci import OciEngine, cleanup, mountinfo


def mounted(folder: str) -> list[str]:
    text = Path("/proc/self/mountinfo").read_text()
    return mountinfo.below(mountinfo.mount_points(text), folder)


async def test_everything_goes_and_again_is_no_error(shop: Workshop) -> None:
    before = Holdings.now()
    mounts = [Mount("bind", str(shop.rootfs), options=("rbind", "ro"))]
    spec = shop.spec("/bin/sleep", "600", root="rootfs")
    request = shop.request(spec, mounts=mounts)
    box = await shop.create(request)
    await box.container.init.start()
    assert mounted(request.bundle.rootfs)
    for _ in range(2):
        assert OciEngine.cleanup(NAMESPACE, request.id, Bundle(request.bundle.path)) is None
        assert mounted(request.bundle.rootfs) == []
    assert (await box.container.init.wait()).status == 137
    await box.remove()
    await settled(before)


def test_nothing_there_is_fine(private_world: None, tmp_path: Path) -> None:
    cleanup.clean_up(NAMESPACE, "none", Bundle(str(tmp_path)))
    cleanup.clean_up(NAMESPACE, "none", Bundle(str(tmp_path / "gone")))


async def test_an_init_that_the_runtime_leaves_is_killed(shop: Workshop) -> None:
    box = await shop.box("/bin/sleep", "600")
    await box.container.init.start()
    bundle = box.request.bundle
    wrapper = Path(bundle.file("hanging"))
    wrapper.write_text("#!/bin/sh\nsleep 600\n")
    wrapper.chmod(0o755)
    Path(bundle.file("runtime")).write_text(str(wrapper))
    began = time.monotonic()
    cleanup.clean_up(NAMESPACE, box.request.id, bundle)
    assert time.monotonic() - began < 4
    assert (await box.container.init.wait()).status == 137
    await box.remove()


async def test_a_runtime_that_can_not_be_killed_does_not_keep_the_rest(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs in the kernel: the init and the mounts go all the same, in time."""
    request = shop.request(
        shop.spec("/bin/sleep", "600", root="rootfs"),
        mounts=[Mount("bind", str(shop.rootfs), options=("rbind", "ro"))],
    )
    box = await shop.create(request)
    await box.container.init.start()
    bundle = request.bundle
    wrapper = Path(bundle.file("hanging"))
    wrapper.write_text("#!/bin/sh\nexec sleep 600\n")
    wrapper.chmod(0o755)
    Path(bundle.file("runtime")).write_text(str(wrapper))
    spared: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: spared.append(pid))
    began = time.monotonic()
    cleanup.clean_up(NAMESPACE, request.id, bundle)
    assert time.monotonic() - began < 4
    assert mounted(bundle.rootfs) == []
    assert (await box.container.init.wait()).status == 137
    os.kill(spared[0], signal.SIGKILL)
    await box.remove()
    await until(lambda: children() == [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/pods/c1", True),
        ("pods/c1", True),
        ("/pods", True),  # in a cgroup below
        ("a.slice:cri:c1", False),
        ("", False),
        ("/", False),  # everything is below the root
    ],
)
def test_whose_cgroup_it_is(path: str, expected: bool) -> None:
    membership = "4:memory:/pods/c1\n1:name=systemd:/pods/c1/sub\n0::/\n"
    assert cleanup.is_in_cgroup(membership, path, "other") is expected


def test_a_stranger_with_the_old_pid_lives(private_world: None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"linux": {"cgroupsPath": "/default/c1"}}')
    with subprocess.Popen(["/bin/sleep", "600"]) as stranger:
        (tmp_path / "init.pid").write_text(str(stranger.pid))
        cleanup.clean_up(NAMESPACE, "c1", Bundle(str(tmp_path)))
        assert Path(f"/proc/{stranger.pid}/cmdline").read_bytes().startswith(b"/bin/sleep")
        stranger.kill()


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "99999999999999999999", "999999"])
def test_a_pid_file_of_no_use(private_world: None, tmp_path: Path, text: str) -> None:
    (tmp_path / "init.pid").write_text(text)
    cleanup.clean_up(NAMESPACE, "none", Bundle(str(tmp_path)))


async def test_a_busy_rootfs_is_detached(shop: Workshop) -> None:
    mounts = [Mount("tmpfs", "t", options=("size=1m",))]
    request = shop.request(shop.spec("/bin/true"), mounts=mounts)
    box = await shop.create(request)
    with open(os.path.join(request.bundle.rootfs, "held"), "w"):
        cleanup.clean_up(NAMESPACE, request.id, request.bundle)
        assert mounted(request.bundle.rootfs) == []
    await box.remove()
    await until(lambda: children() == [])


def test_delete_and_info_start_light() -> None:
    """Neither `delete` nor `-info` needs an event loop."""
    code = """
import sys
from podshim.bundle import Bundle
from podshim.engines.oci import OciEngine
OciEngine.cleanup("ns", "none", Bundle("/no/such/bundle"))
OciEngine.info(None)
import json
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "podshim.engines.oci.cleanup" in modules
    assert not {"asyncio", "google.protobuf", "urllib.request"} & set(modules)
