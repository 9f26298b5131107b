"""Specs down to the documents that HCS is given: of containers and of their first processes."""

import json
from typing import Any

from windows.compare.script import Bundle, start
from windows.compare.specs import WORK, call, create, cri, many, pod, process, single, spec

_PART = "documents"
_C = "io.microsoft.container."
_GUID = "6512bd43-d9ca-6e02-c990-b0a82652dca2"


_BASE = r"$B\pod\base"
_EXTENSION = """{"device_category": {"name": "c", "interface_class": [{"type": "x",
"identifier": "6512bd43-d9ca-6e02-c990-b0a82652dca2", "recurse": true}]},
"namespace": {"ob": {"symlink": [{"name": "a", "path": "b", "scope": "Local"}]}}}"""


def _extension(**ob: Any) -> str:
    return json.dumps({"namespace": {"ob": ob}})


_EXTENSIONS = {
    "shadows": _extension(
        shadow="false",
        objdir=[{"name": "n", "shadow": "true", "clonesd": "c"}],
        symlink=[{"name": "a", "access_mask": 983041}],
    ),
    "negative-mask": _extension(symlink=[{"access_mask": -5}]),
    "nothing": json.dumps({"namespace": {"ob": None, "device": {"device_instance": []}}}),
}


def _windows(**members: Any) -> dict[str, Any]:
    return spec(windows=members)


def _limits(**members: Any) -> dict[str, Any]:
    return spec(windows={"resources": members})


def _annotated(**values: str) -> dict[str, Any]:
    return spec({_C + key.replace("_", "."): value for key, value in values.items()})


def _mounts(*mounts: dict[str, Any]) -> dict[str, Any]:
    return spec(mounts=list(mounts))


def _process(*args: str, **members: Any) -> dict[str, Any]:
    return spec(process=process(*args, **members))


def _registry(hive: str = "Software", name: str = "Some\\Key", **members: Any) -> dict[str, Any]:
    value = [{"Key": {"Hive": hive, "Name": name}, "Name": "N", **members}]
    return spec({_C + "wcow.test-registry-annotation": json.dumps(value)})


def _dumps(**values: str) -> dict[str, Any]:
    more = {f"io.microsoft.wcow.processdump{key}": value for key, value in values.items()}
    return spec({_C + "processdumplocation": "C:\\d", **more})


CASES = [
    single("document_plain", _PART, create(), call("Start")),
    single("document_hostname", _PART, create(), call("Start"), the=spec(hostname="my-host")),
    single("document_terminal", _PART, create(terminal=True), call("Start"),
           the=spec(process=process(terminal=True, consoleSize={"height": 40, "width": 120}))),
    many("documents_of_names", _PART, {
        "plain": spec(),
        "hostname": spec(hostname="my-host"),
        "long-hostname": spec(hostname="h" * 70),
        "domainname": spec(hostname="h", domainname="example.com"),
        "flags": _windows(ignoreFlushesDuringBoot=True, servicing=True),
        "unheard": {**spec(), "unheard": {"of": 1}},
    }),
    many("documents_of_processors", _PART, {
        "count": _limits(cpu={"count": 1}),
        "count-beyond": _limits(cpu={"count": 4096}),
        "maximum": _limits(cpu={"maximum": 2500}),
        "maximum-beyond": _limits(cpu={"maximum": 60000}),
        "shares": _limits(cpu={"shares": 500}),
        "count-and-shares": _limits(cpu={"count": 1, "shares": 500}),
        "all-three": _limits(cpu={"count": 1, "shares": 500, "maximum": 10}),
        "a-count": _annotated(processor_count="1"),
        "a-limit": _annotated(processor_limit="400"),
        "a-weight": _annotated(processor_weight="40"),
        "a-two": _annotated(processor_count="1", processor_limit="2"),
        "a-zero": _annotated(processor_count="0"),
        "a-no-number": _annotated(processor_count="two"),
        "a-too-large": _annotated(processor_count="99999999999"),
        "a-over-spec": spec({_C + "processor.count": "1"},
                            windows={"resources": {"cpu": {"shares": 10}}}),
    }),
    many("documents_of_memory_and_storage", _PART, {
        "memory": _limits(memory={"limit": 300 * 1024 * 1024}),
        "odd-memory": _limits(memory={"limit": 301 * 1024 * 1024 + 7}),
        "little-memory": _limits(memory={"limit": 1023}),
        "storage": _limits(storage={"bps": 1000, "iops": 20, "sandboxSize": 5}),
        "iops": _limits(storage={"iops": 20}),
        "all": _limits(cpu={"shares": 1}, memory={"limit": 1 << 30}, storage={"bps": 9}),
        "a-memory": _annotated(memory_sizeinmb="77"),
        "a-negative": _annotated(memory_sizeinmb="-77"),
        "a-storage": _annotated(storage_qos_bandwidthmaximum="5", storage_qos_iopsmaximum="6"),
        "a-over-spec": spec({_C + "memory.sizeinmb": "88"},
                            windows={"resources": {"memory": {"limit": 1 << 30}}}),
    }),
    many("documents_of_networks", _PART, {
        "names": _windows(network={"allowUnqualifiedDNSQuery": True,
                 "DNSSearchList": ["a.example", "b.example"],
                 "networkSharedContainerName": "other", "networkNamespace": _GUID}),
        "namespace": _windows(network={"networkNamespace": _GUID}),
        "gone": _windows(network={"networkNamespace": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}),
    }, standin={"namespaces": [{"ID": _GUID, "Type": "Host"}]}),
    single("document_empty_network", _PART, create(), the=spec(windows={"network": {}})),
    single("document_network_names", _PART, create(), the=spec(windows={"network": {
           "endpointList": ["a"], "allowUnqualifiedDNSQuery": True, "DNSSearchList": ["a", "b"]}})),
    single("document_endpoints", _PART, create(),
           the=spec(windows={"network": {"endpointList": [_GUID]}}),
           standin={"endpoints": [{"ID": _GUID, "Name": "eth0"}]}),
    many("documents_of_devices", _PART, {
        "class": _windows(devices=[{"id": _GUID, "idType": "class"}]),
        "vpci-class": _windows(devices=[{"id": _GUID, "idType": "vpci-class-guid"}]),
        "location": _windows(devices=[{"id": "PCIROOT(0)", "idType": "vpci-location-path"}]),
        "two": _windows(devices=[{"id": _GUID, "idType": "class"},
                                 {"id": "PCIROOT(0)", "idType": "vpci-location-path"}]),
        "of-no-type": _windows(devices=[{"id": "x", "idType": "unheard"}]),
        "without-type": _windows(devices=[{"id": "x"}]),
        "extension": spec({_C + "wcow.deviceextensions": r"$B\files\x.json"}),
        "no-extension": spec({_C + "wcow.deviceextensions": r"$B\files\y.json"}),
        "bad-extension": spec({_C + "wcow.deviceextensions": r"$B\files\z.json"}),
    }, bundles={"files": Bundle(None, {"x.json": _EXTENSION, "z.json": "words"}, layers=False)}),
    many("documents_of_extensions", _PART, {
        name: spec({_C + "wcow.deviceextensions": rf"$B\files\{name}.json"})
        for name in _EXTENSIONS
    }, bundles={"files": Bundle(
        None, {f"{name}.json": text for name, text in _EXTENSIONS.items()}, layers=False)}),
    many("documents_of_credentials", _PART, {
        "spec": _windows(credentialSpec='{"CmsPlugins": ["ActiveDirectory"]}'),
        "object": _windows(credentialSpec={"CmsPlugins": []}),
        "disabled": spec({_C + "wcow.gmsa.disable": "true"}, windows={"credentialSpec": "{}"}),
        "unsafe": spec({"io.microsoft.disable-unsafe-operations": "true"},
                       windows={"credentialSpec": "{}"}),
    }),
    many("documents_of_dumps", _PART, {
        "plain": _annotated(processdumplocation="C:\\dumps"),
        "by-id": _annotated(processdumplocation="C:\\dumps\\{container_id}"),
        "mini": _dumps(type="mini", count="3"),
        "full": _dumps(type="full"),
        "no-type": _dumps(type="huge"),
        "no-count": _dumps(count="-1"),
    }),
    many("documents_of_registries", _PART, {
        "text": _registry(Type="String", StringValue="v"),
        "number": _registry(Type="DWord", DWordValue=7),
        "system": _registry("System", "CurrentControlSet\\Services\\x", Type="DWord",
                            DWordValue=1),
        "elsewhere": _registry("System", "ControlSet001\\x", Type="DWord"),
        "other-hive": _registry("Sam", Type="String", StringValue="v"),
        "no-type": _registry(Type="Unheard"),
        "two-values": _registry(Type="String", StringValue="v", DWordValue=1),
        "no-json": spec({_C + "wcow.test-registry-annotation": "words"}),
    }),
    many("documents_of_mounts", _PART, {
        "folder": _mounts({"source": _BASE, "destination": "C:\\data"}),
        "read-only": _mounts({"source": _BASE, "destination": "C:\\data",
                              "options": ["rbind", "RO"]}),
        "two": _mounts({"source": _BASE, "destination": "C:\\a"},
                       {"source": r"$B\pod", "destination": "C:\\b", "options": ["ro"]}),
        "file": _mounts({"source": r"$B\pod\config.json", "destination": "C:\\config.json"}),
        "of-some-type": _mounts({"source": _BASE, "destination": "C:\\d", "type": "unheard"}),
        "of-what-is-gone": _mounts({"source": r"$B\gone", "destination": "C:\\data"}),
        "without-source": _mounts({"destination": "C:\\data"}),
        "without-destination": _mounts({"source": _BASE}),
        "pipe": _mounts({"source": "\\\\.\\pipe\\a", "destination": "\\\\.\\pipe\\b"}),
        "pipe-to-a-path": _mounts({"source": "\\\\.\\pipe\\a", "destination": "C:\\b"}),
        "with-slashes": _mounts({"source": "$B/pod/base", "destination": "C:/data"}),
    }),
    many("documents_of_pipes", _PART, {
        "of-a-vm": _mounts({"source": "uvm://\\\\.\\pipe\\a", "destination": "\\\\.\\pipe\\b"}),
        "of-a-vm-to-a-path": _mounts({"source": "uvm://\\\\.\\pipe\\a", "destination": "C:\\b"}),
        "of-a-folder": _mounts({"source": _BASE, "destination": "\\\\.\\pipe\\b"}),
        "in-capitals": _mounts({"source": "\\\\.\\PIPE\\a", "destination": "\\\\.\\PIPE\\b"}),
        "below-another": _mounts({"source": "\\\\.\\pipe\\a\\c",
                                  "destination": "\\\\.\\pipe\\b\\d"}),
    }),
    many("documents_of_processes", _PART, {
        "words": _process("cmd", "/c", "rem", "a b", 'say "x"', "", "c:\\a b\\"),
        "backslashes": _process("cmd", "/c", "rem", "a b\\", "c\\", '\\"'),
        "command-line": _process(commandLine="ping -n 600   127.0.0.1"),
        "command-line-alone": spec(process={"commandLine": "ping -n 600 127.0.0.1"}),
        "user": _process(user={"username": "ContainerAdministrator"}),
        "folder": _process(cwd="C:\\windows"),
        "folder-that-is-gone": _process(cwd="C:\\no\\such"),
        "without-folder": spec(process={"args": ["ping", "-n", "600", "127.0.0.1"]}),
        "environment": _process(env=["A=1", "B=", "A=2", "C", "D=x=y", "=E", "path=C:\\x"]),
        "console-size": _process(consoleSize={"height": 40, "width": 120}),
        "no-program": _process("no-such-program.exe"),
        "without-arguments": spec(process={"args": [], "cwd": "C:\\"}),
    }, begun=True, loose=True,
       short=("words", "backslashes", "folder-that-is-gone", "no-program")),
    pod("document_pod", _PART, create(), call("Start"), start(WORK, "work"), create(WORK, "work"),
        call("Start", WORK),
        sandbox=cri("sandbox", hostname="pod-host", windows={
            "network": {"networkNamespace": _GUID}, "resources": {"cpu": {"shares": 2}}}),
        work=cri("container", hostname="pod-host", windows={
            "network": {"networkNamespace": _GUID},
            "resources": {"cpu": {"shares": 9}, "memory": {"limit": 209715200}}}),
        standin={"namespaces": [{"ID": _GUID, "Type": "Host"}]}),
]  # fmt: skip
