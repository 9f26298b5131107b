"""What the generated service modules do: descriptors, stubs, default answers, import weight."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest
from google.protobuf.descriptor import MethodDescriptor as ProtoMethod

from api.api_contract import SERVICES
from podshim.api import task_v3_pb2, task_v3_ttrpc
from podshim.errors import Code
from podshim.ttrpc.service import CallContext, Kind, MethodDescriptor
from podshim.ttrpc.status import StatusError

KINDS = {
    (False, False): Kind.UNARY,
    (True, False): Kind.CLIENT_STREAM,
    (False, True): Kind.SERVER_STREAM,
    (True, True): Kind.BIDI,
}


def methods_in(module: str) -> list[ProtoMethod]:
    descriptor = importlib.import_module(f"podshim.api.{module}_pb2").DESCRIPTOR
    (service,) = descriptor.services_by_name.values()
    return list(service.methods)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("module", sorted(SERVICES))
async def test_every_method_is_described_and_unimplemented_by_default(module: str) -> None:
    generated = importlib.import_module(f"podshim.api.{module}_ttrpc")
    name = SERVICES[module][0].rpartition(".")[2]
    base = getattr(generated, f"{name}Service")
    service = getattr(generated, f"{snake(name)}_service")(base())
    methods = methods_in(module)
    assert service.name == SERVICES[module][0]
    assert list(service.methods) == [method.name for method in methods]
    for method in methods:
        descriptor, handler = service.methods[method.name]
        assert descriptor is getattr(generated, snake(method.name).upper())
        assert str(descriptor) == f"/{service.name}/{method.name}"
        assert descriptor.request.DESCRIPTOR is method.input_type
        assert descriptor.response.DESCRIPTOR is method.output_type
        assert descriptor.kind is KINDS[method.client_streaming, method.server_streaming]
        with pytest.raises(StatusError) as caught:
            await handler(descriptor.request(), CallContext())
        assert caught.value.code == Code.UNIMPLEMENTED
        assert str(caught.value) == f"method {method.name}"


class Recorder:
    """Takes the place of a client and remembers what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def call(self, method: object, request: object, **options: object) -> object:
        self.calls.append((method, request, options))
        return "the answer"


@pytest.mark.parametrize("method", sorted(method.name for method in methods_in("task_v3")))
async def test_a_stub_calls_the_method_of_its_name(method: str) -> None:
    recorder = Recorder()
    stub = task_v3_ttrpc.TaskStub(recorder)  # type: ignore[arg-type] # a stand-in
    descriptor = getattr(task_v3_ttrpc, snake(method).upper())
    assert isinstance(descriptor, MethodDescriptor)
    request = descriptor.request()
    metadata = {"k": ("v",)}
    answer = await getattr(stub, snake(method))(request, timeout=2.5, metadata=metadata)
    assert answer == "the answer"
    assert recorder.calls == [(descriptor, request, {"timeout": 2.5, "metadata": metadata})]


def test_a_method_that_an_implementation_overrides_is_served() -> None:
    class Mine(task_v3_ttrpc.TaskService):
        async def pids(
            self, request: task_v3_pb2.PidsRequest, context: CallContext
        ) -> task_v3_pb2.PidsResponse:
            return task_v3_pb2.PidsResponse()

    mine = Mine()
    service = task_v3_ttrpc.task_service(mine)
    assert service.methods["Pids"][1] == mine.pids
    assert inspect.iscoroutinefunction(service.methods["Pids"][1])


@pytest.mark.parametrize("module", ["task_v3_pb2", "task_v3_ttrpc"])
def test_importing_a_module_imports_no_event_loop_and_no_other_version(module: str) -> None:
    program = f"import sys, podshim.api.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    imported = set(done.stdout.decode().split())
    assert f"podshim.api.{module}" in imported
    assert not imported & {"asyncio", "podshim.api.task_v2_pb2", "podshim.ttrpc.client"}
