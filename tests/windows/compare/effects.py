"""What a shim made HCS and the network service do, from the stand-in's trace.

The original calls `vmcompute.dll`, ours `computecore.dll`: how an operation is begun, awaited and
closed, and who asked for which callback, is not compared. What is: each request that does
something, with its document, in order.
"""

import json
from collections.abc import Iterable
from typing import Any

from windows.compare.plain import document

# Begun, awaited or asked without an effect.
_MECHANICS = frozenset({
    "HcsCreateOperation",
    "HcsCreateOperationWithNotifications",
    "HcsCloseOperation",
    "HcsCancelOperation",
    "HcsWaitForOperationResult",
    "HcsWaitForOperationResultAndProcessInfo",
    "HcsGetOperationResult",
    "HcsGetOperationResultAndProcessInfo",
    "HcsSetComputeSystemCallback",
    "HcsSetProcessCallback",
    "HcsRegisterComputeSystemCallback",
    "HcsRegisterProcessCallback",
    "HcsUnregisterComputeSystemCallback",
    "HcsUnregisterProcessCallback",
    "HcsOpenComputeSystem",
    "HcsOpenProcess",
    "HcsCloseProcess",
    "HcsCloseComputeSystem",
    "HcsGetProcessInfo",
    "HcsGetProcessProperties",
    "GetLayerMountPath",
    "NameToGuid",
    "HcsGetServiceProperties",
    "HcnEnumerateEndpoints",
    "HcnEnumerateNamespaces",
    "HcnQueryEndpointProperties",
    "HcnQueryNamespaceProperties",
    "HcnOpenNamespace",
    "HcnCloseNamespace",
    "HcnOpenEndpoint",
    "HcnCloseEndpoint",
})  # fmt: skip


def effects(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Requests with an effect, in order.

    Args:
        lines: of the trace.
    """
    found: list[dict[str, Any]] = []
    for line in lines:
        entry = json.loads(line)
        if entry["what"] != "call" or entry["name"] in _MECHANICS:
            continue
        effect: dict[str, Any] = {"call": entry["name"]}
        for member in ("system", "process", "arguments"):
            if member in entry:
                effect[member] = entry[member]
        if entry.get("document"):
            effect["document"] = document(entry["document"])
        if effect.get("document") != {}:  # asks for a system's properties to know what it is
            found.append(effect)
    return found
