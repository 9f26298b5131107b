"""How far a VM comes where there is no Hyper-V, and what is asked of Windows for VMs."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any  # parsed JSON documents

import pytest

assert sys.platform == "win32"

# ruff: noqa: E402 - after the line that tells where this runs

from podshim.bundle import Bundle
from podshim.engine import Environment
from podshim.engines.hcs.engine import HcsEngine
from podshim.engines.hcs.system import Hcs
from podshim.engines.hcs.vm.host import Files, host_time_zone
from podshim.errors import ShimError
from podshim.task.runhcs.host import VmRequest
from podshim.win32 import addressinfo, fileids, hvsocket, timezone, virtualdisks, vmaccess, vmmemory
from windows.cases import hcs as standin
from windows.cases.engine import service

ENVIRONMENT = Environment("test", "t1")


async def refused(vm_id: str, spec: dict[str, object], folder: Path) -> str:
    engine = HcsEngine(ENVIRONMENT)
    await engine.open()
    try:
        with pytest.raises(ShimError) as caught:
            await engine.create_vm(VmRequest(vm_id, Bundle(str(folder)), spec))
    finally:
        await engine.close()
    async with service() as made:
        systems = await Hcs(made).enumerate_systems(json.dumps({"Ids": [vm_id]}))
        assert systems == []
    return str(caught.value)


def calls_about(vm_id: str) -> list[dict[str, Any]]:
    """What HCS was asked about a VM, in order."""
    lines = standin.trace(Path(os.environ["HCS_STANDIN_TRACE"]))
    return [one for one in lines if one["what"] == "call" and one.get("system") == vm_id]


def check_calls(vm_id: str, chipset: str) -> None:
    """See that a VM's document was sent, and the VM ended and closed."""
    calls = calls_about(vm_id)
    names = [one["name"] for one in calls]
    assert names[0] == "HcsCreateComputeSystem"
    assert names[-2:] == ["HcsTerminateComputeSystem", "HcsCloseComputeSystem"]
    document = json.loads(calls[0]["document"])
    assert list(document["VirtualMachine"]["Chipset"]) == [chipset]


async def test_a_windows_vm_is_created_and_taken_back(tmp_path: Path) -> None:
    base, scratch = tmp_path / "base", tmp_path / "scratch"
    (base / "UtilityVM" / "Files").mkdir(parents=True)
    (base / "UtilityVM" / "SystemTemplate.vhdx").write_text("template")
    scratch.mkdir()
    spec: dict[str, object] = {"windows": {"hyperv": {}, "layerFolders": [str(base), str(scratch)]}}
    vm_id = f"{uuid.uuid4()}@vm"
    text = await refused(vm_id, spec, tmp_path)
    assert text.startswith("listen hvsock ")
    check_calls(vm_id, "Uefi")
    assert (scratch / "vm" / "sandbox.vhdx").read_text() == "template"


async def test_a_linux_vm_is_created_and_taken_back(tmp_path: Path) -> None:
    for name in ("kernel", "initrd.img"):
        (tmp_path / name).write_text(name)
    annotations = {"io.microsoft.virtualmachine.bootfilesrootpath": str(tmp_path)}
    spec: dict[str, object] = {"linux": {}, "annotations": annotations}
    vm_id = f"{uuid.uuid4()}@vm"
    text = await refused(vm_id, spec, tmp_path)
    assert text.startswith("listen hvsock ")
    check_calls(vm_id, "LinuxKernelDirect")


async def test_boot_files_that_are_not_there(tmp_path: Path) -> None:
    annotations = {"io.microsoft.virtualmachine.bootfilesrootpath": str(tmp_path)}
    spec: dict[str, object] = {"linux": {}, "annotations": annotations}
    text = await refused(f"{uuid.uuid4()}@vm", spec, tmp_path)
    assert text == f"kernel: '{tmp_path / 'kernel'}' not found"


def test_hv_sockets_are_not_there() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - whatever this Windows calls it
        hvsocket.listen(uuid.uuid4(), uuid.uuid4())
    assert caught.value.winerror == hvsocket.WSAEAFNOSUPPORT


def test_connections_can_not_be_redirected() -> None:
    with pytest.raises(OSError, match="HvSocketSystem"):
        addressinfo.redirect(uuid.uuid4(), uuid.uuid4())


def test_a_file_is_opened_to_vms(tmp_path: Path) -> None:
    path = str(tmp_path / "disk.vhdx")
    Path(path).write_text("x")
    vmaccess.grant_vm_access("vm", path)
    vmaccess.grant_vm_group_access(path)
    vmaccess.grant_vm_group_access(str(tmp_path))
    assert Path(path).read_text() == "x"
    with pytest.raises(OSError, match="gone"):
        vmaccess.grant_vm_group_access(str(tmp_path / "gone"))


def test_what_is_to_be_shared(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("x")
    files = Files()
    assert files.look(str(tmp_path), 20348).is_folder
    assert not files.look(str(file), 18362).is_folder
    assert files.look(str(file), 18362).mappable == fileids.has_file_id(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        files.look(str(tmp_path / "gone"), 20348)


def test_the_time_zone() -> None:
    zone = host_time_zone()
    assert {"StandardDate", "DaylightDate"} <= set(zone)
    assert timezone.time_zone().bias == zone.get("Bias", 0)


def test_a_vm_that_has_no_memory_process() -> None:
    with pytest.raises(OSError, match="memory process of VM"):
        vmmemory.working_set(uuid.uuid4())
    assert vmmemory._user_of(os.getpid())[1]


def test_a_disk_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - whatever this Windows calls it
        virtualdisks.set_identifier(str(tmp_path / "gone.vhdx"), uuid.uuid4())
