from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AddNICInternalRequest(_message.Message):
    __slots__ = ("container_id", "nic_id", "endpoint")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    NIC_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    nic_id: str
    endpoint: _any_pb2.Any
    def __init__(self, container_id: _Optional[str] = ..., nic_id: _Optional[str] = ..., endpoint: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class AddNICInternalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModifyNICInternalRequest(_message.Message):
    __slots__ = ("nic_id", "endpoint", "iov_policy_settings")
    NIC_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    IOV_POLICY_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    nic_id: str
    endpoint: _any_pb2.Any
    iov_policy_settings: IovSettings
    def __init__(self, nic_id: _Optional[str] = ..., endpoint: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., iov_policy_settings: _Optional[_Union[IovSettings, _Mapping]] = ...) -> None: ...

class ModifyNICInternalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteNICInternalRequest(_message.Message):
    __slots__ = ("container_id", "nic_id", "endpoint")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    NIC_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    nic_id: str
    endpoint: _any_pb2.Any
    def __init__(self, container_id: _Optional[str] = ..., nic_id: _Optional[str] = ..., endpoint: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class DeleteNICInternalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AssignPCIInternalRequest(_message.Message):
    __slots__ = ("container_id", "device_id", "virtual_function_index", "nic_id")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_FUNCTION_INDEX_FIELD_NUMBER: _ClassVar[int]
    NIC_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    device_id: str
    virtual_function_index: int
    nic_id: str
    def __init__(self, container_id: _Optional[str] = ..., device_id: _Optional[str] = ..., virtual_function_index: _Optional[int] = ..., nic_id: _Optional[str] = ...) -> None: ...

class AssignPCIInternalResponse(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RemovePCIInternalRequest(_message.Message):
    __slots__ = ("container_id", "device_id", "virtual_function_index")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_FUNCTION_INDEX_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    device_id: str
    virtual_function_index: int
    def __init__(self, container_id: _Optional[str] = ..., device_id: _Optional[str] = ..., virtual_function_index: _Optional[int] = ...) -> None: ...

class RemovePCIInternalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IovSettings(_message.Message):
    __slots__ = ("IovOffloadWeight", "QueuePairsRequested", "InterruptModeration")
    IOVOFFLOADWEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUEUEPAIRSREQUESTED_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTMODERATION_FIELD_NUMBER: _ClassVar[int]
    IovOffloadWeight: int
    QueuePairsRequested: int
    InterruptModeration: int
    def __init__(self, IovOffloadWeight: _Optional[int] = ..., QueuePairsRequested: _Optional[int] = ..., InterruptModeration: _Optional[int] = ...) -> None: ...
