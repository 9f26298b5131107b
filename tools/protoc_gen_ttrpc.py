"""A protoc plugin that writes `NAME_ttrpc.py` for every .proto file with a service.

Theory of operation. protoc writes a `CodeGeneratorRequest` to our stdin: the descriptors of the
files asked for and of all that they import. We answer on stdout with one Python module for each
file that has a service: a `MethodDescriptor` a method, a typed client stub, a server base class
whose methods answer UNIMPLEMENTED until overridden, and a function that turns an implementation
into a `Service`. The text comes out as `ruff format` would leave it, so nothing formats it later.

`generate_api.py` runs this; protoc finds it as the program `protoc-gen-ttrpc`.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)

#: By (client streams, server streams): the name of the kind in `podshim.ttrpc.service.Kind`.
LINE_LENGTH = 100  # as in pyproject.toml

KINDS = {
    (False, False): "UNARY",
    (True, False): "CLIENT_STREAM",
    (False, True): "SERVER_STREAM",
    (True, True): "BIDI",
}


class PythonName(NamedTuple):
    """Where the class of a message is in Python: a package, a module in it, a name in that."""

    package: str
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Method(NamedTuple):
    """What the templates need to know of one method."""

    wire_name: str
    name: str
    kind: str
    request: PythonName
    response: PythonName

    @property
    def constant(self) -> str:
        """The name of its descriptor."""
        return self.name.upper()


def snake_case(name: str) -> str:
    """`ResizePty` to `resize_pty`, `CloseIO` to `close_io`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return parted.lower()


def python_names(files: Iterable[FileDescriptorProto]) -> dict[str, PythonName]:
    """By full name on the wire (with a leading dot), where each message is in Python."""
    names = {}

    def visit(scope: str, home: PythonName, messages: Iterable[DescriptorProto]) -> None:
        for message in messages:
            name = f"{home.name}.{message.name}" if home.name else message.name
            place = home._replace(name=name)
            names[f"{scope}.{message.name}"] = place
            visit(f"{scope}.{message.name}", place, message.nested_type)

    for file in files:
        package, _, stem = file.name.removesuffix(".proto").rpartition("/")
        home = PythonName(package.replace("/", "."), f"{stem}_pb2", "")
        visit(f".{file.package}" if file.package else "", home, file.message_type)
    return names


def methods_of(
    methods: Iterable[MethodDescriptorProto], names: dict[str, PythonName]
) -> list[Method]:
    """The methods of a service as the templates want them."""
    return [
        Method(
            method.name,
            snake_case(method.name),
            KINDS[method.client_streaming, method.server_streaming],
            names[method.input_type],
            names[method.output_type],
        )
        for method in methods
    ]


def imports(methods: list[Method]) -> Iterator[str]:
    """The import lines, sorted as ruff sorts them."""
    kinds = {method.kind for method in methods}
    modules = sorted({(place.package, place.module) for m in methods for place in m[3:]})
    foreign = [pair for pair in modules if not pair[0].startswith("podshim.")]
    own = [pair for pair in modules if pair[0].startswith("podshim.")]
    yield "from __future__ import annotations"
    yield ""
    yield "from typing import TYPE_CHECKING"
    yield ""
    yield from (f"from {package} import {module}" for package, module in foreign)
    if foreign:
        yield ""
    yield from (f"from {package} import {module}" for package, module in own)
    yield "from podshim.errors import Code"
    yield "from podshim.ttrpc.service import Kind, MethodDescriptor, Service"
    yield "from podshim.ttrpc.status import StatusError"
    yield ""
    yield "if TYPE_CHECKING:"
    if kinds != {"UNARY"}:
        yield "    from collections.abc import AsyncIterator"
        yield ""
    streams = "ClientStream, " if kinds != {"UNARY"} else ""
    yield f"    from podshim.ttrpc.client import Client, {streams}Metadata"
    yield "    from podshim.ttrpc.service import CallContext"


def descriptor(method: Method) -> Iterator[str]:
    """The constant that describes a method."""
    yield f"{method.constant} = MethodDescriptor("
    yield "    SERVICE,"
    yield f'    "{method.wire_name}",'
    yield f"    Kind.{method.kind},"
    yield f"    {method.request},"
    yield f"    {method.response},"
    yield ")"


def stub_method(method: Method) -> Iterator[str]:
    """The stub's way to call a method."""
    unary = method.kind == "UNARY"
    answer = str(method.response) if unary else f"ClientStream[{method.request}, {method.response}]"
    one_request = method.kind in {"UNARY", "SERVER_STREAM"}
    yield f"    {'async def' if unary else 'def'} {method.name}("
    yield "        self,"
    if one_request:
        yield f"        request: {method.request},"
    yield "        *,"
    yield "        timeout: float | None = None,"
    yield "        metadata: Metadata | None = None,"
    yield f"    ) -> {answer}:"
    arguments = [method.constant]
    if one_request:
        arguments.append("request")
    call = "await self._client.call" if unary else "self._client.stream"
    yield f"        return {call}("
    yield from (f"            {argument}," for argument in arguments)
    yield "            timeout=timeout,"
    yield "            metadata=metadata,"
    yield "        )"


def service_method(method: Method) -> Iterator[str]:
    """The base class's answer to a method."""
    one_request = method.kind in {"UNARY", "SERVER_STREAM"}
    one_response = method.kind in {"UNARY", "CLIENT_STREAM"}
    answer = str(method.response) if one_response else f"AsyncIterator[{method.response}]"
    yield f"    {'async def' if one_response else 'def'} {method.name}("
    yield "        self,"
    if one_request:
        yield f"        request: {method.request},"
    else:
        yield f"        requests: AsyncIterator[{method.request}],"
    yield "        context: CallContext,"
    yield f"    ) -> {answer}:"
    yield f'        raise StatusError(Code.UNIMPLEMENTED, "method {method.wire_name}")'


def module(file: FileDescriptorProto, names: dict[str, PythonName]) -> str:
    """The module for a file with a service.

    Raises:
        ValueError: The file has more than one: their constants could collide.
    """
    if len(file.service) != 1:
        raise ValueError(f"{file.name}: more than one service in a file")
    (service,) = file.service
    full_name = f"{file.package}.{service.name}" if file.package else service.name
    methods = methods_of(service.method, names)
    function = f"{snake_case(service.name)}_service"

    def text() -> Iterator[str]:
        yield f'"""Service `{full_name}`: methods, client stub, server base class.'
        yield ""
        yield f"Made from {file.name} by tools/generate_api.py: change that, not this."
        yield '"""'
        yield ""
        timeouts = ", ASYNC109" if any(method.kind == "UNARY" for method in methods) else ""
        yield f"# ruff: noqa: ARG002{timeouts}"
        yield ""
        yield from imports(methods)
        yield ""
        yield f'SERVICE = "{full_name}"'
        yield ""
        for method in methods:
            yield from descriptor(method)
        yield ""
        yield ""
        yield f"class {service.name}Stub:"
        yield f'    """A client\'s view of `{full_name}`."""'
        yield ""
        yield '    __slots__ = ("_client",)'
        yield ""
        yield "    def __init__(self, client: Client) -> None:"
        yield "        self._client = client"
        for method in methods:
            yield ""
            yield from stub_method(method)
        yield ""
        yield ""
        yield f"class {service.name}Service:"
        yield f'    """What serves `{full_name}`: override what you implement."""'
        for method in methods:
            yield ""
            yield from service_method(method)
        yield ""
        yield ""
        yield f"def {function}(implementation: {service.name}Service) -> Service:"
        yield '    """The service that a server offers when this implementation stands behind it."""'
        yield "    return Service("
        yield "        SERVICE,"
        yield "        {"
        for method in methods:
            yield from _entry(method)
        yield "        },"
        yield "    )"

    return "\n".join(text()) + "\n"


def _entry(method: Method) -> Iterator[str]:
    """A method's line in the service's table, or its lines, as the formatter has them."""
    pair = method.constant, f"implementation.{method.name}"
    line = f'            "{method.wire_name}": ({", ".join(pair)}),'
    if len(line) <= LINE_LENGTH:
        yield line
        return
    yield f'            "{method.wire_name}": ('
    yield from (f"                {part}," for part in pair)
    yield "            ),"


def respond(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Answer protoc: a module for every file asked for that has a service."""
    names = python_names(request.proto_file)
    wanted = set(request.file_to_generate)
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    for file in request.proto_file:
        if file.name in wanted and file.service:
            name = file.name.removesuffix(".proto") + "_ttrpc.py"
            response.file.add(name=name, content=module(file, names))
    return response


def main() -> None:
    """Speak with protoc over stdin and stdout."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(respond(request).SerializeToString())


if __name__ == "__main__":
    main()
