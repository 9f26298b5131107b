"""Where HostProcess containers find their files, on hosts that can do what Wine can't."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from podshim.engines.hcs.hostprocess import rootfs
from podshim.errors import ShimError
from podshim.win32 import bindfilter, files, security
from podshim.win32.binding import failure
from podshim.win32.handles import Handle
from podshim.win32.jobs import Job
from windows.cases.hostprocesses import VOLUME, ended, finish, host


class Filter:
    """A bind filter and volumes that are only written down."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.fails = ""

    def bind(self, job: Handle, root: str, target: str, *, read_only: bool = False) -> None:
        self._do("bind read-only" if read_only else "bind", root, target)

    def mount(self, folder: str, volume: str) -> None:
        assert os.path.isdir(folder)
        self._do("mount", folder, volume)

    def unmount(self, folder: str) -> None:
        self._do("unmount", folder)
        shutil.rmtree(folder)  # what lies in the folder is the volume's
        os.mkdir(folder)

    def symlink(self, target: str, path: str, *, target_is_directory: bool) -> None:
        self._do("link", path, target)
        Path(path).touch()

    def make_silo(self) -> None:
        self._do("silo")

    def _do(self, what: str, *about: str) -> None:
        if self.fails and self.fails in (what, *about):
            raise failure(5, what)
        self.done.append((what, *about))


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> Filter:
    made = Filter()
    monkeypatch.setattr(bindfilter, "bind", made.bind)
    monkeypatch.setattr(rootfs, "mount_volume", made.mount)
    monkeypatch.setattr(rootfs, "unmount_volume", made.unmount)
    monkeypatch.setattr(os, "symlink", made.symlink)
    monkeypatch.setattr(Job, "make_silo", lambda job: made.make_silo())
    return made


@pytest.fixture
def silos(able: Filter, monkeypatch: pytest.MonkeyPatch) -> Filter:
    monkeypatch.setattr(bindfilter, "supported", lambda: True)
    return able


def mounts(folder: Path) -> list[dict[str, Any]]:
    return [
        {"source": "C:\\windows", "destination": str(folder / "one" / "x"), "options": ["RO"]},
        {"source": str(folder), "destination": str(folder / "two")},
    ]


def wanted(folder: Path) -> dict[str, str]:
    return {
        "microsoft.com/hostprocess-inherit-user": "true",
        "microsoft.com/hostprocess-rootfs-location": str(folder / "places" / "root"),
    }


async def test_in_a_silo_files_and_mounts_are_bound(silos: Filter, tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        client = machine.client()
        container = await machine.create(
            [],
            client.stdio,
            commandLine="echo %CONTAINER_SANDBOX_MOUNT_POINT%",
            cwd="C:\\windows",
            annotations=wanted(tmp_path),
            spec={"mounts": mounts(tmp_path)},
        )
        place = str(tmp_path / "places" / "root")
        folder = silos.done[2][1]
        inside = str(tmp_path)[2:]
        assert silos.done == [
            ("silo",),
            ("bind", place, VOLUME + "\\"),
            ("mount", folder, VOLUME + "\\"),
            ("bind read-only", str(tmp_path / "one" / "x"), "C:\\windows"),
            ("link", f"{folder}{inside}\\one\\x", "C:\\windows"),
            ("bind", str(tmp_path / "two"), str(tmp_path)),
            ("link", f"{folder}{inside}\\two", str(tmp_path)),
            ("unmount", folder),
        ]
        assert (tmp_path / "places").is_dir()
        assert (tmp_path / "one").is_dir()
        await container.init.start()  # through `cmd /c`, which finds what only the silo sees
        assert await ended(container.init) == 0
        await finish(container)
        await client.ends()
        assert client.out == f"{place}\n"


def access_of(folder: Path) -> str:
    """A folder's access list."""
    read_control, backup_semantics = 0x20000, 0x02000000
    opened = files._create_file(str(folder), read_control, 7, None, 3, backup_semantics, None)
    with Handle(opened, str(folder)) as handle:
        return security.sddl_of(handle.value)


def test_a_working_folder_can_be_entered_by_its_containers_user(tmp_path: Path) -> None:
    rootfs.make_folder(str(tmp_path / "work" / "here"))
    os.mkdir(tmp_path / "other")
    assert access_of(tmp_path / "work" / "here") == access_of(tmp_path / "other")


async def test_a_silos_folder_is_made_on_its_volume(
    silos: Filter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr("podshim.engines.hcs.hostprocess.launching.make_folder", made.append)
    async with host(tmp_path) as machine:
        container = await machine.create(["cmd"], cwd="C:\\hpc\\app")
        with pytest.raises(ShimError, match=r"^failed to start host process: "):
            await container.init.start()  # there is no such folder outside silos
    assert made == [VOLUME + "\\app"]


@pytest.mark.parametrize("what", ["silo", "bind", "bind read-only", "mount"])
async def test_a_failure_leaves_nothing(silos: Filter, tmp_path: Path, what: str) -> None:
    silos.fails = what
    async with host(tmp_path) as machine:
        with pytest.raises(ShimError, match="failed to create job container"):
            await machine.create(["cmd"], spec={"mounts": mounts(tmp_path)})
        assert machine.layers.mounted == 0
    mounted = [folder for one, folder, *_ in silos.done[1:] if one == "mount"]
    assert [folder for one, folder, *_ in silos.done[1:] if one == "unmount"] == mounted
    assert not any(os.path.exists(folder) for folder in mounted)


async def test_without_silos_a_folder_shows_the_volume(able: Filter, tmp_path: Path) -> None:
    async with host(tmp_path) as machine:
        container = await machine.create(
            ["cmd"], annotations=wanted(tmp_path), spec={"mounts": mounts(tmp_path)}
        )
        place = str(tmp_path / "places" / "root" / container.id)
        inside = str(tmp_path)[2:]
        assert able.done == [
            ("mount", place, VOLUME + "\\"),
            ("link", f"{place}{inside}\\one\\x", "C:\\windows"),
            ("link", f"{place}{inside}\\two", str(tmp_path)),
        ]
        able.done.clear()
        await container.delete()
        assert able.done == [("unmount", place)]
        assert not os.path.exists(place)


async def test_a_link_that_cant_be_made_fails_the_creation(able: Filter, tmp_path: Path) -> None:
    able.fails = "link"
    async with host(tmp_path) as machine:
        with pytest.raises(ShimError, match=r"^failed to setup symlink from C:\\windows to "):
            await machine.create(["cmd"], spec={"mounts": mounts(tmp_path)})
        assert machine.layers.mounted == 0
    assert [what for what, *_ in able.done] == ["mount", "unmount"]
