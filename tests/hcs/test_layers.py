"""Layers are mounted and unmounted in order."""

import asyncio
import ctypes
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcs.making_support import Record, T, Threads, drivers, id_of, win32
from podshim.engines.hcs import layers
from podshim.engines.hcs.documents.container import Layer
from podshim.engines.hcs.layers import drivers as windows, mounting
from podshim.engines.hcs.layers.sources import BlockCim, ForkedCim, WcifsLayers
from podshim.engines.hcs.leftovers import Leftovers
from podshim.errors import ShimError
from podshim.win32.binding import Library

BASE = "C:\\layers\\base"
TOP = "C:\\layers\\top\\"
VOLUME = "\\\\?\\Volume{6827367b-c388-4e9b-961c-6d2c936c00ff}"


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / mounting.SCRATCH_DISK).touch()
    # On Linux the disk's name is one with a backslash in it.
    Path(f"{folder}\\{mounting.SCRATCH_DISK}").touch()
    return str(folder)


def folders(scratch: str) -> WcifsLayers:
    return WcifsLayers(scratch, (TOP, BASE))


IDS = [(id_of("top"), TOP), (id_of("base"), BASE)]


async def mount(source: Any, record: Record) -> layers.Mounted:
    return await layers.mount(source, "c1", Threads(), Leftovers(), drivers(record))


async def test_folders_are_mounted_and_unmounted_in_order(scratch: str) -> None:
    record = Record()
    mounted = await mount(folders(scratch), record)
    assert record.calls == [
        ("activate", scratch),
        ("id_of", "top"),
        ("id_of", "base"),
        ("prepare", scratch, IDS),
        ("mount_path", scratch),
        ("id_of", "top"),
        ("id_of", "base"),
    ]
    assert mounted.path == VOLUME
    assert mounted.layers == (Layer(str(id_of("top")), TOP), Layer(str(id_of("base")), BASE))
    record.calls.clear()
    await mounted.release()
    await mounted.release()
    assert record.calls == [("unprepare", scratch), ("deactivate", scratch)]


async def test_a_missing_scratch_is_made(tmp_path: Path) -> None:
    record = Record()
    scratch = str(tmp_path / "a" / "scratch")
    await mount(folders(scratch), record)
    assert Path(scratch).is_dir()
    assert record.names[:4] == ["id_of", "id_of", "create_scratch", "activate"]
    assert record.calls[2] == ("create_scratch", scratch, IDS)


async def test_a_scratch_that_can_not_be_made(tmp_path: Path) -> None:
    record = Record(create_scratch=win32("hcsshim::CreateSandboxLayer", 5))
    with pytest.raises(ShimError) as caught:
        await mount(folders(str(tmp_path)), record)
    assert str(caught.value).startswith(
        "failed to CreateSandboxLayer: hcsshim::CreateSandboxLayer failed in Win32: "
    )
    assert str(caught.value).endswith(" (0x5)")
    assert "activate" not in record.names


async def test_a_scratch_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    record = Record()
    with pytest.raises(ShimError, match=r"^failed to auto-create container scratch folder .*file"):
        await mount(folders(str(tmp_path / "file")), record)
    assert record.calls == []


@pytest.mark.parametrize("code", [21, 1167])
@pytest.mark.parametrize("call", ["activate", "prepare"])
async def test_a_disk_that_is_not_there_yet_is_tried_again(
    scratch: str, code: int, call: str
) -> None:
    record = Record(**{call: [win32(call, code)] * 4})
    await mount(folders(scratch), record)
    assert record.names.count("activate") == 5
    assert [entry for entry in record.calls if entry[0] == "sleep"] == [("sleep", 0.1)] * 4
    # What was attached is detached before the next attempt.
    assert record.names.count("deactivate") == (4 if call == "prepare" else 0)


async def test_patience_ends(scratch: str) -> None:
    record = Record(prepare=[win32("hcsshim::PrepareLayer", 21)] * 9)
    with pytest.raises(ShimError) as caught:
        await mount(folders(scratch), record)
    assert str(caught.value).startswith(
        "layer retry loop failed: hcsshim::PrepareLayer failed in Win32: "
    )
    assert record.names.count("activate") == record.names.count("deactivate") == 5


@pytest.mark.parametrize(
    ("call", "undone"),
    [
        ("activate", []),
        ("prepare", ["deactivate"]),
        ("mount_path", ["unprepare", "deactivate"]),
    ],
)
async def test_other_failures_are_final_and_leave_nothing(
    scratch: str, call: str, undone: list[str]
) -> None:
    record = Record(**{call: win32("hcsshim::Call", 5)})
    with pytest.raises(ShimError, match=r"^hcsshim::Call failed in Win32: .* \(0x5\)$"):
        await mount(folders(scratch), record)
    assert record.names[record.names.index(call) + 1 :] == undone


async def test_both_steps_back_are_taken_after_a_late_failure(
    scratch: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record(mount_path=win32("late", 5), unprepare=win32("undo", 6))
    with pytest.raises(ShimError, match="late"):
        await mount(folders(scratch), record)
    assert record.names[-2:] == ["unprepare", "deactivate"]
    assert "a layer stays mounted: undo" in caplog.text


async def test_a_prepared_layer_is_not_deactivated(scratch: str) -> None:
    record = Record(unprepare=win32("hcsshim::UnprepareLayer", 5))
    mounted = await mount(folders(scratch), record)
    record.calls.clear()
    with pytest.raises(ShimError, match="hcsshim::UnprepareLayer failed in Win32"):
        await mounted.release()
    assert record.names == ["unprepare"]
    await mounted.release()
    assert record.names == ["unprepare", "unprepare", "deactivate"]


def volume_of(container: str) -> uuid.UUID:
    return uuid.uuid5(uuid.UUID("6827367b-c388-4e9b-961c-6d2c936c0000"), container)


V = volume_of("c1")
PATH = f"\\\\?\\Volume{{{V}}}\\"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            ForkedCim("S", ("a", "b"), ("C:\\cims\\top.cim", "C:\\cims\\base.cim")),
            ("mount", "C:\\cims", "top.cim", 0, V),
        ),
        (
            BlockCim("S", ("\\\\.\\disk\\a.cim",), on_device=True),
            ("mount", "\\\\.\\disk\\", "a.cim", 0x10, V),
        ),
        (
            BlockCim("S", ("C:\\x.bcim\\a.cim",), on_device=False),
            ("mount", "C:\\x.bcim", "a.cim", 0x20, V),
        ),
        (
            BlockCim("S", ("D:\\a\\a.cim", "D:\\b\\b.cim"), on_device=False, merged="D:\\m\\m.cim"),
            (
                "mount_merged",
                [("D:\\m", "m.cim"), ("D:\\a", "a.cim"), ("D:\\b", "b.cim")],
                0x20,
                V,
            ),
        ),
    ],
)
async def test_images_are_mounted_and_unmounted_in_order(source: Any, expected: Any) -> None:
    record = Record()
    mounted = await mount(source, record)
    assert record.calls == [
        expected,
        ("activate", "S"),
        ("mount_path", "S"),
        ("attach", VOLUME, [(str(V), PATH + "Files")]),
    ]
    assert mounted.path == VOLUME
    assert mounted.layers == (Layer(str(V), PATH),)
    record.calls.clear()
    await mounted.release()
    assert record.calls == [("detach", VOLUME), ("deactivate", "S"), ("dismount", V)]


@pytest.mark.parametrize(
    ("call", "undone"),
    [
        ("mount", []),
        ("activate", ["dismount"]),
        ("mount_path", ["deactivate", "dismount"]),
        ("attach", ["deactivate", "dismount"]),
    ],
)
async def test_failures_of_images_leave_nothing(call: str, undone: list[str]) -> None:
    record = Record(**{call: win32("the call", 5)})
    with pytest.raises(ShimError, match=r"^the call failed in Win32: "):
        await mount(ForkedCim("S", ("a",), ("C:\\c\\a.cim",)), record)
    assert record.names[record.names.index(call) + 1 :] == undone


async def test_unmounting_goes_on_where_it_failed() -> None:
    record = Record(deactivate=win32("deactivate", 5))
    mounted = await mount(ForkedCim("S", ("a",), ("C:\\c\\a.cim",)), record)
    record.calls.clear()
    with pytest.raises(ShimError):
        await mounted.release()
    await mounted.release()
    assert record.names == ["detach", "deactivate", "deactivate", "dismount"]


class HeldThreads(Threads):
    """A call ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.unmounted = asyncio.Event()

    async def run(self, what: str, function: Callable[[], T]) -> T:
        self.begun.set()
        await self.go.wait()
        result = function()
        if what.startswith("unmount"):
            self.unmounted.set()
        return result


async def test_what_nobody_waits_for_is_unmounted(scratch: str) -> None:
    record, threads = Record(), HeldThreads()
    task = asyncio.create_task(
        layers.mount(folders(scratch), "c1", threads, Leftovers(), drivers(record))
    )
    await threads.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    threads.go.set()
    async with asyncio.timeout(10):
        await threads.unmounted.wait()
    assert record.names[-2:] == ["unprepare", "deactivate"]


def test_the_filters_documents() -> None:
    assert windows.attachment([("id", "path")]) == {
        "SchemaVersion": {},
        "Layers": [{"Id": "id", "Path": "path"}],
        "FilterType": "UnionFS",
    }


def test_structures_are_as_large_as_windows_has_them() -> None:
    assert ctypes.sizeof(windows._LayerDescriptor) == 32
    assert ctypes.sizeof(windows._DriverInfo) == 16
    assert ctypes.sizeof(windows._CimImage) == 16


def test_a_missing_export_is_told_as_it_is() -> None:
    missing = Library("vmcompute.dll").function("NoSuchExport", None)
    with pytest.raises(OSError, match=r"vmcompute\.dll") as caught:
        missing()
    assert "failed in Win32" not in windows.failure_text(win32("vmcompute.dll!Prepare", 127))
    assert caught.value.filename == "vmcompute.dll"
