"""The stand-in's other DLLs: vmcompute's older calls, layers, storage, network."""

import ctypes
import json
import sys
import uuid
from ctypes import byref, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

assert sys.platform == "win32"

from windows.cases.hcs import (  # noqa: E402 - after the line that tells where this runs
    CREATE,
    PENDING,
    Listener,
    ProcessInformation,
    configure,
    core,
    legacy,
    network,
    running,
    storage,
    take,
    unsigned,
)


def test_the_older_calls_are_pending_and_end_by_events(name: str) -> None:
    listener, watcher = Listener(), Listener()
    system, answer, registration = c_void_p(), c_void_p(), c_void_p()
    document = json.dumps(CREATE)
    call = legacy.HcsCreateComputeSystem
    assert unsigned(call(name, document, None, byref(system), byref(answer))) == PENDING
    register = legacy.HcsRegisterComputeSystemCallback
    assert register(system, listener.legacy, None, byref(registration)) == 0
    listener.wait(1)
    assert unsigned(legacy.HcsStartComputeSystem(system, "", byref(answer))) == PENDING
    listener.wait(2)
    info, process = ProcessInformation(), c_void_p()
    parameters = json.dumps({"CommandLine": "cmd /c exit 7"})
    create_process = legacy.HcsCreateProcess
    assert create_process(system, parameters, byref(info), byref(process), byref(answer)) == 0
    watching = c_void_p()
    assert legacy.HcsRegisterProcessCallback(process, watcher.legacy, None, byref(watching)) == 0
    assert watcher.wait(1)[0][0] == 0x10000
    status = c_void_p()
    assert legacy.HcsGetProcessProperties(process, byref(status), byref(answer)) == 0
    assert json.loads(take(status) or "")["ExitCode"] == 7
    assert legacy.HcsUnregisterProcessCallback(watching) == 0
    assert legacy.HcsCloseProcess(process) == 0
    assert unsigned(legacy.HcsShutdownComputeSystem(system, "", byref(answer))) == PENDING
    assert [(kind, value[0]) for kind, value in listener.wait(3)] == [(2, 0), (3, 0), (1, 0)]
    assert unsigned(legacy.HcsTerminateComputeSystem(system, "", byref(answer))) == PENDING
    assert [(kind, value[0]) for kind, value in listener.wait(4)][3] == (10, 0xC0370110)
    assert legacy.HcsUnregisterComputeSystemCallback(registration) == 0
    assert legacy.HcsCloseComputeSystem(system) == 0


def test_the_older_calls_spell_results_their_way() -> None:
    system, answer = c_void_p(), c_void_p()
    call = legacy.HcsOpenComputeSystem
    assert unsigned(call("no such system", byref(system), byref(answer))) == 0xC037010E


def test_both_doors_lead_to_the_same_systems(name: str) -> None:
    with running(name):
        system, answer, found = c_void_p(), c_void_p(), c_void_p()
        assert legacy.HcsOpenComputeSystem(name, byref(system), byref(answer)) == 0
        call = legacy.HcsGetComputeSystemProperties
        assert call(system, "{}", byref(found), byref(answer)) == 0
        assert json.loads(take(found) or "")["Id"] == name
        legacy.HcsCloseComputeSystem(system)


def test_service_properties() -> None:
    answer, ignored = c_void_p(), c_void_p()
    query = '{"PropertyTypes":["ProcessorTopology"]}'
    assert legacy.HcsGetServiceProperties(query, byref(answer), byref(ignored)) == 0
    (topology,) = json.loads(take(answer) or "")["Properties"]
    assert topology["LogicalProcessorCount"] == len(topology["LogicalProcessors"]) >= 1
    assert core.HcsGetServiceProperties(query, byref(answer)) == 0
    take(answer)


def test_instances_of_the_credential_guard_come_and_go() -> None:
    answer = c_void_p()

    def modify(operation: str) -> int:
        details = {"Id": "g", "CredentialSpec": '{"a":1}', "Transport": "LRPC"}
        settings = {"Operation": operation, "OperationDetails": details}
        text = json.dumps({"PropertyType": "ContainerCredentialGuard", "Settings": settings})
        result = unsigned(core.HcsModifyServiceSettings(text, byref(answer)))
        take(answer)
        return result

    def instances() -> list[dict[str, Any]]:
        query = '{"PropertyTypes":["ContainerCredentialGuard"]}'
        assert core.HcsGetServiceProperties(query, byref(answer)) == 0
        found: list[dict[str, Any]] = json.loads(take(answer) or "")["Properties"][0]["Instances"]
        return found

    assert modify("AddInstance") == 0
    assert instances()[0]["CredentialGuard"]["CredentialSpec"] == '{"a":1}'
    assert modify("RemoveInstance") == 0
    assert instances() == []
    assert modify("RemoveInstance") != 0


class Descriptor(ctypes.Structure):
    _fields_ = [("id", ctypes.c_ubyte * 16), ("flags", c_uint32), ("path", ctypes.c_wchar_p)]


def test_a_layer_is_mounted_in_order(tmp_path: Path) -> None:
    scratch, base = tmp_path / "scratch", tmp_path / "base"
    scratch.mkdir()
    base.mkdir()
    below = Descriptor(path=str(base))
    activate, prepare = legacy.ActivateLayer, legacy.PrepareLayer
    assert unsigned(activate(None, str(scratch))) == 0x80070002
    assert legacy.CreateSandboxLayer(None, str(scratch), c_void_p(), byref(below), 1) == 0
    assert unsigned(prepare(None, str(scratch), byref(below), 1)) == 0x80070015
    assert activate(None, str(scratch)) == 0
    assert prepare(None, str(scratch), byref(below), 1) == 0
    length = c_size_t()
    assert legacy.GetLayerMountPath(None, str(scratch), byref(length), None) == 0
    buffer = ctypes.create_unicode_buffer(length.value)
    assert legacy.GetLayerMountPath(None, str(scratch), byref(length), buffer) == 0
    assert buffer.value.startswith("\\\\?\\Volume{")
    assert len(buffer.value) + 1 == length.value
    assert legacy.UnprepareLayer(None, str(scratch)) == 0
    assert legacy.DeactivateLayer(None, str(scratch)) == 0
    assert unsigned(legacy.GetLayerMountPath(None, str(scratch), byref(length), None)) == 0x80070015


def test_names_make_the_same_guid_each_time() -> None:
    first, second, third = ((ctypes.c_ubyte * 16)() for _ in range(3))
    for name, guid in (("Layer", first), ("layer", second), ("other", third)):
        assert legacy.NameToGuid(name, guid) == 0
    assert bytes(first) == bytes(second) != bytes(third)


def test_storage_filters_want_their_layers() -> None:
    data = '{"SchemaVersion":{},"Layers":[],"FilterType":"UnionFS"}'
    assert storage.HcsAttachOverlayFilter("\\\\?\\Volume{x}", data) == 0
    assert unsigned(storage.HcsAttachOverlayFilter("\\\\?\\Volume{x}", "{}")) == 0x8037010D


def test_a_namespace_holds_endpoints_until_deleted(tmp_path: Path) -> None:
    endpoint = str(uuid.uuid4())
    configure(tmp_path, endpoints=[{"ID": endpoint, "Name": "eth0", "MacAddress": "00-15"}])
    error, handle, text = c_void_p(), c_void_p(), c_void_p()
    settings = '{"SchemaVersion":{"Major":2,"Minor":0}}'
    assert network.HcnCreateNamespace(None, settings, byref(handle), byref(error)) == 0

    def described() -> dict[str, Any]:
        call = network.HcnQueryNamespaceProperties
        assert call(handle, settings, byref(text), byref(error)) == 0
        answer: dict[str, Any] = json.loads(take(text) or "")
        return answer

    change = {"ResourceType": "Endpoint", "RequestType": "Add"}
    for which, expected in ((endpoint, 0), (str(uuid.uuid4()), 0x80070490)):
        body = json.dumps(change | {"Settings": {"EndpointId": which}})
        assert unsigned(network.HcnModifyNamespace(handle, body, byref(error))) == expected
        assert (take(error) is None) == (expected == 0)
    space = described()
    assert space["Resources"] == [{"Type": "Endpoint", "Data": {"ID": endpoint}}]
    path = f"/namespaces/{space['ID']}"
    body = json.dumps({"Type": "Endpoint", "Data": {"Id": endpoint}})
    for success in (True, False):
        assert legacy.HNSCall("POST", f"{path}/removeresource", body, byref(text)) == 0
        assert json.loads(take(text) or "")["Success"] is success
    assert legacy.HNSCall("DELETE", path, "", byref(text)) == 0
    assert json.loads(take(text) or "")["Success"] is True
    assert network.HcnCloseNamespace(handle) == 0
    guid = (ctypes.c_ubyte * 16).from_buffer_copy(uuid.UUID(space["ID"]).bytes_le)
    assert unsigned(network.HcnOpenNamespace(guid, byref(handle), byref(error))) == 0x80070490
    assert json.loads(take(error) or "")["Success"] is False
