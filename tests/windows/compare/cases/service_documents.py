"""Specs down to the documents that HCS is given: of containers and of their first processes."""

import json
from typing import Any

from windows.compare.script import Bundle, Case, start
from windows.compare.specs import WORK, call, create, cri, pod, process, single, spec

_PART = "documents"
_C = "io.microsoft.container."
_GUID = "6512bd43-d9ca-6e02-c990-b0a82652dca2"


def _case(name: str, the: Any, **more: Any) -> Case:
    """A task made of a spec, and started."""
    return single(f"document_{name}", _PART, create(), call("Start"), the=the, **more)


def _windows(name: str, **members: Any) -> Case:
    return _case(name, spec(windows=members))


def _resources(name: str, **members: Any) -> Case:
    return _windows(name, resources=members)


def _annotated(name: str, **values: str) -> Case:
    return _case(name, spec({_C + key.replace("_", "."): value for key, value in values.items()}))


def _mounts(name: str, *mounts: dict[str, Any]) -> Case:
    return _case(f"mount_{name}", spec(mounts=list(mounts)))


def _process(name: str, *args: str, **members: Any) -> Case:
    return _case(f"process_{name}", spec(process=process(*args, **members)))


_BASE = r"$B\pod\base"
_EXTENSION = """{"device_category": {"name": "c", "interface_class": [{"type": "x",
"identifier": "6512bd43-d9ca-6e02-c990-b0a82652dca2", "recurse": true}]},
"namespace": {"ob": {"shadow": true, "symlink": [{"name": "a", "path": "b", "scope": "Local"}]}}}"""


def _value(hive: str = "Software", name: str = "Some\\Key", **members: Any) -> str:
    return json.dumps([{"Key": {"Hive": hive, "Name": name}, "Name": "N", **members}])


def _registered(name: str, text: str) -> Case:
    return _case(f"registry_{name}", spec({_C + "wcow.test-registry-annotation": text}))


def _extended() -> Case:
    the = spec({_C + "wcow.deviceextensions": r"$B\pod\x.json"})
    bundles = {"pod": Bundle(the, files={"x.json": _EXTENSION})}
    return Case("document_device_extension", _PART, bundles, [start(), create(), call("Start")])


CASES = [
    _case("plain", spec()),
    _case("hostname", spec(hostname="my-host")),
    _case("long_hostname", spec(hostname="h" * 70)),
    _case("domainname", spec(hostname="h", domainname="example.com")),
    # processors and memory
    _resources("cpu_count", cpu={"count": 1}),
    _resources("cpu_count_beyond_the_host", cpu={"count": 4096}),
    _resources("cpu_maximum", cpu={"maximum": 2500}),
    _resources("cpu_maximum_out_of_range", cpu={"maximum": 60000}),
    _resources("cpu_shares", cpu={"shares": 500}),
    _resources("cpu_count_and_shares", cpu={"count": 1, "shares": 500}),
    _resources("cpu_all_three", cpu={"count": 1, "shares": 500, "maximum": 10}),
    _resources("memory", memory={"limit": 300 * 1024 * 1024}),
    _resources("odd_memory", memory={"limit": 301 * 1024 * 1024 + 7}),
    _resources("little_memory", memory={"limit": 1023}),
    _resources("storage", storage={"bps": 1000, "iops": 20, "sandboxSize": 5}),
    _resources("storage_iops", storage={"iops": 20}),
    _resources("all", cpu={"shares": 1}, memory={"limit": 1 << 30}, storage={"bps": 9}),
    _annotated("annotated_cpu_count", processor_count="1"),
    _annotated("annotated_cpu_limit", processor_limit="400"),
    _annotated("annotated_cpu_weight", processor_weight="40"),
    _annotated("annotated_cpu_twice", processor_count="1", processor_limit="2"),
    _annotated("annotated_cpu_zero", processor_count="0"),
    _annotated("annotated_cpu_no_number", processor_count="two"),
    _annotated("annotated_cpu_too_large", processor_count="99999999999"),
    _annotated("annotated_memory", memory_sizeinmb="77"),
    _annotated("annotated_negative_memory", memory_sizeinmb="-77"),
    _annotated("annotated_storage", storage_qos_bandwidthmaximum="5", storage_qos_iopsmaximum="6"),
    _case("annotation_over_spec", spec({_C + "memory.sizeinmb": "88"},
          windows={"resources": {"memory": {"limit": 1 << 30}}})),
    _case("annotated_cpu_over_spec", spec({_C + "processor.count": "1"},
          windows={"resources": {"cpu": {"shares": 10}}})),
    # network
    _windows("network", network={"endpointList": ["a"], "allowUnqualifiedDNSQuery": True,
             "DNSSearchList": ["a.example", "b.example"], "networkSharedContainerName": "other"}),
    _case("network_empty", spec(windows={"network": {}})),
    _case("network_namespace", spec(windows={"network": {"networkNamespace": _GUID}}),
          standin={"namespaces": [{"ID": _GUID, "Type": "Host"}]}),
    _case("network_namespace_that_is_gone",
          spec(windows={"network": {"networkNamespace": _GUID}})),
    _case("network_endpoints", spec(windows={"network": {"endpointList": [_GUID]}}),
          standin={"endpoints": [{"ID": _GUID, "Name": "eth0"}]}),
    # devices
    _windows("device_class", devices=[{"id": _GUID, "idType": "class"}]),
    _windows("device_vpci_class", devices=[{"id": _GUID, "idType": "vpci-class-guid"}]),
    _windows("device_location", devices=[{"id": "PCIROOT(0)#PCI(1)",
             "idType": "vpci-location-path"}]),
    _windows("devices", devices=[{"id": _GUID, "idType": "class"},
             {"id": "PCIROOT(0)", "idType": "vpci-location-path"}]),
    _windows("device_of_no_type", devices=[{"id": "x", "idType": "unheard"}]),
    _windows("device_without_type", devices=[{"id": "x"}]),
    _extended(),
    _case("device_extension_that_is_gone", spec({_C + "wcow.deviceextensions": r"$B\pod\y.json"})),
    # credentials, flags
    _windows("credentials", credentialSpec='{"CmsPlugins": ["ActiveDirectory"]}'),
    _windows("credentials_as_an_object", credentialSpec={"CmsPlugins": []}),
    _case("credentials_disabled", spec({_C + "wcow.gmsa.disable": "true"},
          windows={"credentialSpec": "{}"})),
    _case("unsafe_operations_disabled", spec({"io.microsoft.disable-unsafe-operations": "true"},
          windows={"credentialSpec": "{}"})),
    _windows("flushes_and_servicing", ignoreFlushesDuringBoot=True, servicing=True),
    # dumps and registry
    _annotated("dumps", processdumplocation="C:\\dumps"),
    _annotated("dumps_by_id", processdumplocation="C:\\dumps\\{container_id}"),
    _case("dumps_mini", spec({_C + "processdumplocation": "C:\\d",
          "io.microsoft.wcow.processdumptype": "mini",
          "io.microsoft.wcow.processdumpcount": "3"})),
    _case("dumps_full", spec({_C + "processdumplocation": "C:\\d",
          "io.microsoft.wcow.processdumptype": "full"})),
    _case("dumps_of_no_type", spec({_C + "processdumplocation": "C:\\d",
          "io.microsoft.wcow.processdumptype": "huge"})),
    _case("dumps_of_no_count", spec({_C + "processdumplocation": "C:\\d",
          "io.microsoft.wcow.processdumpcount": "-1"})),
    _registered("text", _value(Type="String", StringValue="v")),
    _registered("number", _value(Type="DWord", DWordValue=7)),
    _registered("of_system", _value("System", "CurrentControlSet\\Services\\x", Type="DWord",
                DWordValue=1)),
    _registered("of_another_place", _value("System", "ControlSet001\\x", Type="DWord")),
    _registered("of_another_hive", _value("Sam", Type="String", StringValue="v")),
    _registered("of_no_type", _value(Type="Unheard")),
    _registered("of_two_values", _value(Type="String", StringValue="v", DWordValue=1)),
    _registered("of_no_json", "words"),
    # mounts
    _mounts("folder", {"source": _BASE, "destination": "C:\\data"}),
    _mounts("read_only", {"source": _BASE, "destination": "C:\\data", "options": ["rbind", "RO"]}),
    _mounts("two", {"source": _BASE, "destination": "C:\\a"},
            {"source": r"$B\pod", "destination": "C:\\b", "options": ["ro"]}),
    _mounts("file", {"source": r"$B\pod\config.json", "destination": "C:\\config.json"}),
    _mounts("of_some_type", {"source": _BASE, "destination": "C:\\data", "type": "unheard"}),
    _mounts("of_what_is_gone", {"source": r"$B\gone", "destination": "C:\\data"}),
    _mounts("without_source", {"destination": "C:\\data"}),
    _mounts("without_destination", {"source": _BASE}),
    _mounts("pipe", {"source": "\\\\.\\pipe\\a", "destination": "\\\\.\\pipe\\b"}),
    _mounts("pipe_to_a_path", {"source": "\\\\.\\pipe\\a", "destination": "C:\\b"}),
    _mounts("relative", {"source": "base", "destination": "C:\\data"}),
    _mounts("with_slashes", {"source": "$B/pod/base", "destination": "C:/data"}),
    # processes
    _process("with_arguments", "cmd", "/c", "echo", "a b", 'say "x"', "", "c:\\a b\\"),
    _process("with_a_backslash_at_the_end", "cmd", "/c", "rem", "a b\\", "c\\"),
    _process("command_line", commandLine="ping -n 600   127.0.0.1"),
    _case("process_command_line_alone",
          spec(process={"commandLine": "ping -n 600 127.0.0.1", "cwd": "C:\\"})),
    _process("user", user={"username": "ContainerAdministrator"}),
    _process("folder", cwd="C:\\windows"),
    _process("folder_that_is_gone", cwd="C:\\no\\such"),
    _case("process_without_folder", spec(process={"args": ["ping", "-n", "600", "127.0.0.1"]})),
    _process("environment", env=["A=1", "B=", "A=2", "C", "D=x=y", "=E", "path=C:\\x"]),
    _process("console_size", consoleSize={"height": 40, "width": 120}),
    _process("of_no_program", "no-such-program.exe"),
    _case("process_without_arguments", spec(process={"args": [], "cwd": "C:\\"})),
    single("document_terminal", _PART, create(terminal=True), call("Start"),
           the=spec(process=process(terminal=True, consoleSize={"height": 40, "width": 120}))),
    # pods
    pod("document_pod", _PART, create(), call("Start"), start(WORK, "work"), create(WORK, "work"),
        call("Start", WORK),
        sandbox=cri("sandbox", hostname="pod-host", windows={
            "network": {"networkNamespace": _GUID}, "resources": {"cpu": {"shares": 2}}}),
        work=cri("container", hostname="pod-host", windows={
            "network": {"networkNamespace": _GUID},
            "resources": {"cpu": {"shares": 9}, "memory": {"limit": 209715200}}}),
        standin={"namespaces": [{"ID": _GUID, "Type": "Host"}]}),
]  # fmt: skip
