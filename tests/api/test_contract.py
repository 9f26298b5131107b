"""Our .proto files say what containerd's contract says, name by name and number by number."""

import importlib
from collections.abc import Iterable, Iterator

import pytest
from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
)
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from api.api_contract import ENUMS, MESSAGES, SERVICES
from podshim.api import bootstrap_v1_pb2, runc_options_pb2

SHORT = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT32: "i32",
    FieldDescriptorProto.TYPE_INT64: "i64",
    FieldDescriptorProto.TYPE_UINT32: "u32",
    FieldDescriptorProto.TYPE_UINT64: "u64",
}


def file_of(module: str) -> FileDescriptor:
    descriptor: FileDescriptor = importlib.import_module(f"podshim.api.{module}_pb2").DESCRIPTOR
    return descriptor


def all_messages(scope: str, messages: Iterable[Descriptor]) -> Iterator[tuple[str, Descriptor]]:
    for message in messages:
        if message.GetOptions().map_entry:
            continue
        yield scope + message.name, message
        yield from all_messages(f"{scope}{message.name}.", message.nested_types)


def kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            return f"{{{kind(entry['key'])},{kind(entry['value'])}}}"
        return field.message_type.name
    if field.enum_type is not None:
        return field.enum_type.name
    return SHORT[FieldDescriptorProto.Type.ValueType(field.type)]


def described(message: Descriptor) -> str:
    """A message's fields in the notation of `api_contract.py`."""
    proto = {f.name: f for f in raw_fields(message)}
    parts = []
    for field in message.fields:
        text = kind(field)
        repeated = proto[field.name].label == FieldDescriptorProto.LABEL_REPEATED
        mark = "*" if repeated and not text.startswith("{") else ""
        if proto[field.name].proto3_optional:
            mark = "?"
        suffix = f":{mark}{text}" if mark or text != "string" else ""
        parts.append(f"{field.name}={field.number}{suffix}")
    return " ".join(parts)


def raw_fields(message: Descriptor) -> Iterable[FieldDescriptorProto]:
    from google.protobuf.descriptor_pb2 import DescriptorProto

    proto = DescriptorProto()
    message.CopyToProto(proto)
    return proto.field


@pytest.mark.parametrize("module", sorted(MESSAGES))
def test_messages(module: str) -> None:
    package, expected = MESSAGES[module]
    file = file_of(module)
    assert file.package == package
    found = dict(all_messages("", file.message_types_by_name.values()))
    assert {name: described(message) for name, message in found.items()} == expected


@pytest.mark.parametrize("module", sorted(MESSAGES))
def test_enums(module: str) -> None:
    file = file_of(module)
    enums = dict(file.enum_types_by_name.items())
    for name, message in all_messages("", file.message_types_by_name.values()):
        enums.update({f"{name}.{enum.name}": enum for enum in message.enum_types})
    found = {name: {v.name: v.number for v in enum.values} for name, enum in enums.items()}
    assert found == ENUMS.get(module, {})


def signature(method: MethodDescriptor) -> str:
    request = "*" * method.client_streaming + method.input_type.name
    response = "*" * method.server_streaming + method.output_type.name
    return f"{method.name}({request}) {response}"


@pytest.mark.parametrize("module", sorted(MESSAGES))
def test_services(module: str) -> None:
    services = list(file_of(module).services_by_name.values())
    if module not in SERVICES:
        assert services == []
        return
    name, methods = SERVICES[module]
    (service,) = services
    assert service.full_name == name
    assert ", ".join(signature(method) for method in service.methods) == methods


def test_task_v3_is_task_v2_under_another_name() -> None:
    def renamed(module: str) -> FileDescriptorProto:
        proto = FileDescriptorProto()
        file_of(module).CopyToProto(proto)
        text = proto.SerializeToString().replace(b"task.v3", b"task.v2")
        return FileDescriptorProto.FromString(text.replace(b"task_v3", b"task_v2"))

    assert renamed("task_v3") == renamed("task_v2")


def test_the_number_of_a_field_that_is_gone_stays_free() -> None:
    proto = FileDescriptorProto()
    runc_options_pb2.DESCRIPTOR.CopyToProto(proto)
    (options,) = (message for message in proto.message_type if message.name == "Options")
    assert [(r.start, r.end) for r in options.reserved_range] == [(8, 9)]


def test_a_log_level_between_the_named_ones_survives() -> None:
    params = bootstrap_v1_pb2.BootstrapParams.FromString(
        b"\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    )
    assert params.log_level == -2
