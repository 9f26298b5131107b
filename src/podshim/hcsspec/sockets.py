"""Hyper-V socket services that annotations declare for a utility VM.

Theory of operation. `io.microsoft.virtualmachine.hv-socket.service-table.<GUID>` says in JSON who
may connect to and listen on a service of the VM. A wrong GUID or a wrong document is left out, with
a warning: the VM then has the service's defaults, which allow less. Null says as little as `{}`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from podshim.errors import InvalidArgumentError
from podshim.hcsspec.annotations import guid
from podshim.hcsspec.reading import Member
from podshim.hcsspec.table import HV_SOCKET_SERVICE

if TYPE_CHECKING:
    from podshim.hcsspec.annotations import Annotations


def socket_services(annotations: Annotations) -> dict[str, dict[str, object]]:
    """The services by their GUIDs (lower case), without what is false or empty.

    Args:
        annotations: The VM's.
    """
    services = {}
    for name, text in annotations.with_prefix(HV_SOCKET_SERVICE).items():
        try:
            identifier = str(guid(name))
            services[identifier] = _service(Member(json.loads(text), document=name))
        except (ValueError, RecursionError, InvalidArgumentError):
            annotations.warn(HV_SOCKET_SERVICE.key + name, text, "GUID and JSON object")
    return services


def _service(document: Member) -> dict[str, object]:
    members: dict[str, object] = {
        "BindSecurityDescriptor": document["BindSecurityDescriptor"].text(),
        "ConnectSecurityDescriptor": document["ConnectSecurityDescriptor"].text(),
        "AllowWildcardBinds": document["AllowWildcardBinds"].flag(),
        "Disabled": document["Disabled"].flag(),
    }
    return {name: value for name, value in members.items() if value}
