"""Namespaces and endpoints over the stand-in."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

assert sys.platform == "win32"

from podshim.engines.hcs.hcn import (  # noqa: E402 - after the line that tells where this runs
    ComputeNetwork,
    MissingError,
    endpoints_in,
)
from podshim.engines.hcs.network import add_endpoints, create_namespace  # noqa: E402
from podshim.engines.hcs.operations import CallThreads  # noqa: E402
from podshim.errors import InvalidArgumentError, ShimError  # noqa: E402
from windows.cases import hcs as standin  # noqa: E402

networks = ComputeNetwork()


def calls() -> list[dict[str, Any]]:
    path = Path(os.environ["HCS_STANDIN_TRACE"])
    return [line for line in standin.trace(path) if line["what"] == "call"]


async def test_a_namespace_is_created_filled_and_deleted(tmp_path: Path) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    endpoints = [{"ID": first, "Name": "eth0", "MacAddress": "00-15"}, {"ID": second}]
    standin.configure(tmp_path, endpoints=endpoints)
    threads = CallThreads()
    namespace = await create_namespace(networks, threads)
    await add_endpoints(namespace, [first, second])
    assert set(endpoints_in(networks.namespace(namespace.id))) == {first, second}
    assert networks.endpoint(first)["Name"] == "eth0"
    before = len(calls())
    await namespace.release()
    released = [(call["arguments"], call.get("document")) for call in calls()[before:]]
    path = f"/namespaces/{namespace.id}"
    body = '{"Type":"Endpoint","Data":{"Id":"%s"}}'
    assert released == [
        ({"Method": "POST", "Path": f"{path}/removeresource"}, body % first),
        ({"Method": "POST", "Path": f"{path}/removeresource"}, body % second),
        ({"Method": "DELETE", "Path": path}, None),
    ]
    with pytest.raises(MissingError):
        networks.namespace(namespace.id)
    threads.close()


async def test_the_documents_are_those_of_the_second_version(tmp_path: Path) -> None:
    endpoint = str(uuid.uuid4())
    standin.configure(tmp_path, endpoints=[{"ID": endpoint}])
    namespace = networks.create_namespace()
    networks.add_endpoint(namespace, endpoint)
    asked = {call["name"]: call.get("document", "") for call in calls()}
    assert json.loads(asked["HcnCreateNamespace"]) == {"SchemaVersion": {"Major": 2, "Minor": 0}}
    assert json.loads(asked["HcnModifyNamespace"]) == {
        "ResourceType": "Endpoint",
        "RequestType": "Add",
        "Settings": {"EndpointId": endpoint},
    }
    opened = sum(call["name"] in {"HcnCreateNamespace", "HcnOpenNamespace"} for call in calls())
    assert [call["name"] for call in calls()].count("HcnCloseNamespace") == opened == 2


async def test_two_namespaces_are_two() -> None:
    assert networks.create_namespace() != networks.create_namespace()


async def test_an_endpoint_that_is_not_there_is_told_with_its_error_text() -> None:
    namespace = networks.create_namespace()
    with pytest.raises(MissingError) as caught:
        networks.add_endpoint(namespace, str(uuid.uuid4()))
    text = str(caught.value)
    assert text.startswith("hcnModifyNamespace failed in Win32: ")
    assert '(0x490) {"Success":false' in text
    with pytest.raises(MissingError):
        networks.remove_endpoint(namespace, str(uuid.uuid4()))
    networks.delete_namespace(namespace)
    with pytest.raises(MissingError):
        networks.delete_namespace(namespace)


async def test_failures_of_the_service_are_told(tmp_path: Path) -> None:
    standin.configure(
        tmp_path,
        faults=[
            {"call": "HcnCreateNamespace", "result": "0x80070005"},
            {"call": "HNSCall", "result": "0x80070005"},
        ],
    )
    with pytest.raises(ShimError, match=r"^hcnCreateNamespace failed in Win32: .* \(0x5\)"):
        networks.create_namespace()
    with pytest.raises(ShimError, match=r"^hnsCall failed in Win32: .* \(0x5\)"):
        networks.delete_namespace(str(uuid.uuid4()))


def test_an_id_that_is_no_guid_is_refused() -> None:
    for wrong in ("", "x", "{}"):
        with pytest.raises(InvalidArgumentError):
            networks.namespace(wrong)
