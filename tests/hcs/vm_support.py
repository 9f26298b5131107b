"""What the tests of utility VMs share: specs, a host and its shim, and golden documents.

A golden document is the text of what HCS must get, written down in `golden/vm` and compared member
by member; order and white space don't count.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a parsed JSON document

from podshim.engines.hcs.vm.derivation import Shim
from podshim.engines.hcs.vm.options import HostFacts

GOLDEN = Path(__file__).with_name("golden") / "vm"
VM = "io.microsoft.virtualmachine."
TOPOLOGY = VM + "computetopology."
OWNER = "containerd-shim-runhcs-v1.exe"
HOST = HostFacts(build=20348, processors=8)
NEW_HOST = HostFacts(build=26100, processors=8)
SHIM = Shim(owner=OWNER, folder="C:\\shim", build=20348, processors=8)
BUNDLE = "C:\\bundle"
POLICY = "eyJhbGxvd19hbGwiOnRydWV9"  # {"allow_all":true}


def golden(name: str) -> dict[str, Any]:
    """A golden document by its file's name."""
    document: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return document


def plain(document: object) -> object:
    """A document as JSON gives it back."""
    return json.loads(json.dumps(document))


def windows_spec(
    annotations: Mapping[str, str] | None = None, resources: object = None
) -> dict[str, object]:
    """The spec of a hypervisor-isolated Windows container."""
    windows: dict[str, object] = {"hyperv": {}, "layerFolders": ["C:\\base", "C:\\scratch"]}
    if resources is not None:
        windows["resources"] = resources
    return {"ociVersion": "1.1.0", "windows": windows, "annotations": dict(annotations or {})}


def linux_spec(
    annotations: Mapping[str, str] | None = None, windows: object = None
) -> dict[str, object]:
    """The spec of a Linux container."""
    spec: dict[str, object] = {
        "ociVersion": "1.1.0",
        "linux": {},
        "annotations": dict(annotations or {}),
    }
    if windows is not None:
        spec["windows"] = windows
    return spec
