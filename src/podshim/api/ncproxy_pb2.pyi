from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RequestTypeInternal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Setup: _ClassVar[RequestTypeInternal]
    Teardown: _ClassVar[RequestTypeInternal]
Setup: RequestTypeInternal
Teardown: RequestTypeInternal

class RegisterComputeAgentRequest(_message.Message):
    __slots__ = ("agent_address", "container_id")
    AGENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    agent_address: str
    container_id: str
    def __init__(self, agent_address: _Optional[str] = ..., container_id: _Optional[str] = ...) -> None: ...

class RegisterComputeAgentResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnregisterComputeAgentRequest(_message.Message):
    __slots__ = ("container_id",)
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    def __init__(self, container_id: _Optional[str] = ...) -> None: ...

class UnregisterComputeAgentResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConfigureNetworkingInternalRequest(_message.Message):
    __slots__ = ("container_id", "request_type")
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TYPE_FIELD_NUMBER: _ClassVar[int]
    container_id: str
    request_type: RequestTypeInternal
    def __init__(self, container_id: _Optional[str] = ..., request_type: _Optional[_Union[RequestTypeInternal, str]] = ...) -> None: ...

class ConfigureNetworkingInternalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
