"""Specs down to the documents that HCS is given of VMs; without Hyper-V they get no further.

Each case tries VMs one after the other, each with a bundle that holds its boot files. Annotations
that have other names in other versions of the original are given under both.
"""

from typing import Any

from windows.compare.script import POD, Bundle, Call, Case, Step, start
from windows.compare.specs import spec

_PART = "VMs"
_VM = "io.microsoft.virtualmachine."
_PROCESSOR = "computetopology.processor."
_MEMORY = "computetopology.memory."
_NUMA = "computetopology.numa."
_GUID = "6512bd43-d9ca-6e02-c990-b0a82652dca2"
_WINDOWS = {
    "base\\UtilityVM\\Files\\": "",
    "base\\UtilityVM\\SystemTemplate.vhdx": "template",
    "scratch\\": "",
}
_LINUX = {
    "boot\\": "",
    "boot\\kernel": "k",
    "boot\\vmlinux": "v",
    "boot\\initrd.img": "i",
    "boot\\rootfs.vhd": "r",
    "layer\\": "",
    "scratch\\": "",
}

_TOPOLOGY: dict[str, dict[str, str]] = {
    "plain": {},
    "memory": {_MEMORY + "sizeinmb": "2049"},
    "negative": {_MEMORY + "sizeinmb": "-1"},
    "physical": {_MEMORY + "allowovercommit": "false"},
    "deferred": {_MEMORY + "enabledeferredcommit": "true"},
    "both": {_MEMORY + "enabledeferredcommit": "true", _MEMORY + "allowovercommit": "false"},
    "cold": {_MEMORY + "enablecolddiscardhint": "true"},
    "mmio": {
        _MEMORY + "lowmmiogapinmb": "128",
        _MEMORY + "highmmiobaseinmb": "2",
        _MEMORY + "highmmiogapinmb": "3",
    },
    "backed": {"fullyphysicallybacked": "true"},
    "count": {_PROCESSOR + "count": "1"},
    "many": {_PROCESSOR + "count": "99"},
    "limit": {_PROCESSOR + "limit": "70000"},
    "weight": {_PROCESSOR + "weight": "7"},
    "beyond": {_PROCESSOR + "weight": "5000000000"},
    "group": {"cpugroup.id": _GUID},
    "nogroup": {"cpugroup.id": "x"},
    "qos": {"storageqos.iopsmaximum": "5", "storageqos.bandwidthmaximum": "6"},
    "nodes": {
        _PROCESSOR + "numa.max-processors-per-node": "1",
        _PROCESSOR + "numa.max-size-per-node": "512",
        _MEMORY + "allowovercommit": "false",
    },
    "mapped": {
        _NUMA + "mapped-physical-nodes": "0,1",
        _NUMA + "count-of-processors": "1,1",
        _NUMA + "count-of-memory-blocks": "512,512",
        _MEMORY + "allowovercommit": "false",
    },
}

_OF_WINDOWS: dict[str, dict[str, str]] = {
    "unmapped": {"wcow.virtualSMB.nodirectmap": "true"},
    "compartments": {"disablecompartmentnamespace": "true"},
    "untimed": {"wcow.timezone.noinherit": "true"},
}

_OF_LINUX: dict[str, dict[str, str]] = {
    "initrd": {"lcow.preferredrootfstype": "initrd"},
    "vhd": {"lcow.preferredrootfstype": "vhd"},
    "cow": {"lcow.preferredrootfstype": "cow"},
    "uefi": {"lcow.kerneldirectboot": "false"},
    "words": {"lcow.kernelbootoptions": "quiet  x=y"},
    "vpci": {"lcow.vpcienabled": "true"},
    "timesync": {"lcow.timesync.disable": "true"},
    "console": {"console.pipe": "\\\\.\\pipe\\x"},
    "pmem": {"devices.virtualpmem.maximumcount": "3"},
    "nopmem": {"devices.virtualpmem.maximumcount": "0"},
    "manypmem": {"devices.virtualpmem.maximumcount": "200"},
    "size": {"devices.virtualpmem.maximumsizebytes": "8192"},
    "oddsize": {"devices.virtualpmem.maximumsizebytes": "8193"},
    "single": {"lcow.vpmem.nomultimapping": "true"},
    "scratch": {"storage.scratch.encrypted": "true"},
}


def _windows(annotations: dict[str, str], bundle: str, **members: Any) -> dict[str, Any]:
    layers = [rf"$B\{bundle}\base", rf"$B\{bundle}\scratch"]
    said = {
        _VM + key: value for key, value in {"forwardlogs.enable": "false", **annotations}.items()
    }
    return spec(said, windows={"hyperv": {}, "layerFolders": layers, **members})


def _linux(annotations: dict[str, str], bundle: str, **members: Any) -> dict[str, Any]:
    boot = rf"$B\{bundle}\boot"
    where = {"bootfilesrootpath": boot, "lcow.bootfilesrootpath": boot}
    said = {_VM + key: value for key, value in {**where, **annotations}.items()}
    layers = [rf"$B\{bundle}\layer", rf"$B\{bundle}\scratch"]
    return spec(said, windows={"hyperv": {}, "layerFolders": layers}, linux={}) | members


def _vms(name: str, the: dict[str, dict[str, Any]], files: dict[str, str]) -> Case:
    bundles = {"pod": Bundle(spec())}
    steps: list[Step] = [start()]
    for bundle, document in the.items():
        bundles[bundle] = Bundle(document, files, layers=False)
        steps.append(Call("Create", {"id": POD, "bundle": rf"$B\{bundle}"}, also=bundle))
    return Case(name, _PART, bundles, steps)


def _windows_vms(name: str, table: dict[str, dict[str, str]]) -> Case:
    return _vms(name, {key: _windows(value, key) for key, value in table.items()}, _WINDOWS)


def _linux_vms(name: str, table: dict[str, dict[str, str]]) -> Case:
    return _vms(name, {key: _linux(value, key) for key, value in table.items()}, _LINUX)


def _limited(bundle: str, **resources: Any) -> dict[str, Any]:
    return _windows({}, bundle, resources=resources)


CASES = [
    _windows_vms("windows_vms", _TOPOLOGY),
    _windows_vms("windows_vms_own", _OF_WINDOWS),
    _vms(
        "windows_vms_limits",
        {
            "memory": _limited("memory", memory={"limit": 3 << 30}),
            "odd": _limited("odd", memory={"limit": (1 << 30) + (1 << 20)}),
            "small": _limited("small", memory={"limit": 1 << 20}),
            "cpu": _limited("cpu", cpu={"count": 1, "maximum": 5000, "shares": 300}),
            "cpus": _limited("cpus", cpu={"count": 64}),
            "storage": _limited("storage", storage={"iops": 100, "bps": 2000}),
        },
        _WINDOWS,
    ),
    _linux_vms("linux_vms", _TOPOLOGY),
    _linux_vms("linux_vms_own", _OF_LINUX),
    _vms(
        "linux_vms_of_a_kernel_and_an_initrd",
        {"a": _linux({}, "a")},
        {name: _LINUX[name] for name in ("boot\\", "boot\\kernel", "boot\\initrd.img")},
    ),
    _vms(
        "linux_vms_of_a_kernel_and_a_disk",
        {"a": _linux({}, "a")},
        {name: _LINUX[name] for name in ("boot\\", "boot\\kernel", "boot\\rootfs.vhd")},
    ),
]
