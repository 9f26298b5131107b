"""Windows' Host Compute Network: namespaces and endpoints, by `computenetwork.dll` and HNS.

Theory of operation. A namespace is a network compartment that containers share; endpoints are its
network cards. `HostNetworks` says what is used of them; `ComputeNetwork` is the DLLs. Handles last
for one call here: an object is opened, asked or changed, and closed. A call has failed if its
HRESULT says so, or if it gives out an error text, whatever its HRESULT says. Taking an endpoint out
of a namespace, and deleting one, go the older way, over `HNSCall`, which takes methods and paths as
a web server does. All calls block.
"""

from __future__ import annotations

from contextlib import contextmanager
from ctypes import POINTER, Array, byref, c_ubyte, c_uint32, c_void_p
from ctypes.wintypes import LPCWSTR
from typing import TYPE_CHECKING, Protocol

from podshim.engines.hcs.documents.jsontext import dumps, parse
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.annotations import guid
from podshim.hcsspec.reading import Member
from podshim.win32.binding import ERROR_NOT_FOUND, Library, message_of, normalised
from podshim.win32.ole import take_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.win32.binding import Function

_VERSION = {"SchemaVersion": {"Major": 2, "Minor": 0}}
_GONE = "Element not found."

_network = Library("computenetwork.dll")
_hresult, _guid, _out = c_uint32, POINTER(c_ubyte * 16), POINTER(c_void_p)
_create_namespace = _network.function("HcnCreateNamespace", _hresult, _guid, LPCWSTR, _out, _out)
_open_namespace = _network.function("HcnOpenNamespace", _hresult, _guid, _out, _out)
_modify_namespace = _network.function("HcnModifyNamespace", _hresult, c_void_p, LPCWSTR, _out)
_query_namespace = _network.function(
    "HcnQueryNamespaceProperties", _hresult, c_void_p, LPCWSTR, _out, _out
)
_close_namespace = _network.function("HcnCloseNamespace", _hresult, c_void_p)
_open_endpoint = _network.function("HcnOpenEndpoint", _hresult, _guid, _out, _out)
_query_endpoint = _network.function(
    "HcnQueryEndpointProperties", _hresult, c_void_p, LPCWSTR, _out, _out
)
_close_endpoint = _network.function("HcnCloseEndpoint", _hresult, c_void_p)
_hns_call = Library("vmcompute.dll").function("HNSCall", _hresult, LPCWSTR, LPCWSTR, LPCWSTR, _out)


class MissingError(ShimError):
    """A namespace or endpoint is not there: of no concern to who wants it away."""


class HostNetworks(Protocol):
    """What is used of the Host Compute Network. Every method blocks.

    Every method may raise ShimError, and MissingError where what it is about is not there.
    """

    def create_namespace(self) -> str:
        """Create a namespace; its id."""

    def add_endpoint(self, namespace: str, endpoint: str) -> None:
        """Put an endpoint into a namespace."""

    def remove_endpoint(self, namespace: str, endpoint: str) -> None:
        """Take it out again."""

    def delete_namespace(self, namespace: str) -> None:
        """Delete a namespace."""

    def namespace(self, namespace: str) -> Json:
        """All about a namespace."""

    def endpoint(self, endpoint: str) -> Json:
        """All about an endpoint."""


def endpoints_in(namespace: Json) -> list[str]:
    """The ids of the endpoints in a namespace.

    Args:
        namespace: What `HostNetworks.namespace` tells.

    Raises:
        ShimError: It is not what it should be.
    """
    try:
        return [
            resource["Data"]["ID"].text() or resource["Data"]["Id"].text()
            for resource in Member(namespace, document="namespace")["Resources"].objects()
            if resource["Type"].text() == "Endpoint"
        ]
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None


class ComputeNetwork:
    """`HostNetworks` over Windows' DLLs."""

    def create_namespace(self) -> str:
        """See `HostNetworks`."""
        handle = c_void_p()
        none = (c_ubyte * 16)()
        _call(_create_namespace, byref(none), dumps(_VERSION), byref(handle))
        try:
            created = _query(_query_namespace, handle)
        finally:
            _close_namespace(handle)
        identifier = created.get("ID")
        if not isinstance(identifier, str) or not identifier:
            raise ShimError("a namespace was created that tells no id")
        return identifier

    def add_endpoint(self, namespace: str, endpoint: str) -> None:
        """See `HostNetworks`."""
        request = {
            "ResourceType": "Endpoint",
            "RequestType": "Add",
            "Settings": {"EndpointId": endpoint},
        }
        with _opened(_open_namespace, _close_namespace, namespace) as handle:
            _call(_modify_namespace, handle, dumps(request))

    def remove_endpoint(self, namespace: str, endpoint: str) -> None:
        """See `HostNetworks`."""
        body = {"Type": "Endpoint", "Data": {"Id": endpoint}}
        _hns("POST", f"/namespaces/{namespace}/removeresource", dumps(body))

    def delete_namespace(self, namespace: str) -> None:
        """See `HostNetworks`."""
        _hns("DELETE", f"/namespaces/{namespace}", "")

    def namespace(self, namespace: str) -> Json:
        """See `HostNetworks`."""
        with _opened(_open_namespace, _close_namespace, namespace) as handle:
            return _query(_query_namespace, handle)

    def endpoint(self, endpoint: str) -> Json:
        """See `HostNetworks`."""
        with _opened(_open_endpoint, _close_endpoint, endpoint) as handle:
            return _query(_query_endpoint, handle)


@contextmanager
def _opened(open_by_id: Function, close: Function, identifier: str) -> Iterator[c_void_p]:
    handle = c_void_p()
    _call(open_by_id, byref(_guid_of(identifier)), byref(handle))
    try:
        yield handle
    finally:
        close(handle)


def _query(function: Function, handle: c_void_p) -> Json:
    answer = c_void_p()
    text = ""
    try:
        _call(function, handle, dumps(_VERSION), byref(answer))
    finally:
        text = take_string(answer)
    return parse(text, f"the answer of {_title(function)}")


def _call(function: Function, *arguments: object) -> None:
    """Make a call whose last argument takes an error text.

    Raises:
        ShimError: It has failed.
    """
    problem = c_void_p()
    try:
        result: int = function(*arguments, byref(problem))
    except OSError as error:
        raise ShimError(str(error)) from error
    text = take_string(problem)
    if result & 0x80000000 or text:
        raise _failure(_title(function), result, text)


def _hns(method: str, path: str, body: str) -> None:
    answer = c_void_p()
    try:
        result: int = _hns_call(method, path, body, byref(answer))
    except OSError as error:
        raise ShimError(str(error)) from error
    text = take_string(answer)
    if result & 0x80000000:
        raise _failure("hnsCall", result, text)
    told = Member(parse(text, "the answer of HNSCall"), document="answer of HNSCall")
    try:
        success, problem = told["Success"].flag(), told["Error"].text().strip()
    except InvalidArgumentError as error:
        raise ShimError(error.detail) from None
    if not success:
        kind = MissingError if _GONE in problem else ShimError
        raise kind(f"HNS failed with error : {problem}")


def _failure(title: str, result: int, text: str) -> ShimError:
    code = normalised(result)
    detail = f"{title} failed in Win32: {message_of(code)} (0x{code:x})"
    kind = MissingError if code == ERROR_NOT_FOUND else ShimError
    return kind(f"{detail} {text}" if text else detail)


def _title(function: Function) -> str:
    return function.name[0].lower() + function.name[1:]


def _guid_of(text: str) -> Array[c_ubyte]:
    try:
        value = guid(text.removeprefix("{").removesuffix("}"))
    except ValueError as error:
        raise InvalidArgumentError(str(error)) from None
    return (c_ubyte * 16).from_buffer_copy(value.bytes_le)
