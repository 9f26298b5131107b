"""The committed modules are what the generator makes, and the generator refuses what it can't."""

import filecmp
import subprocess
import sys
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorProto

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "src/podshim/api"


def test_regenerating_changes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/generate_api.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=110)
    made = {path.name for path in (tmp_path / "podshim/api").iterdir()}
    kept = {path.name for pattern in ("*_pb2.py*", "*_ttrpc.py") for path in API.glob(pattern)}
    assert made == kept
    same, *others = filecmp.cmpfiles(tmp_path / "podshim/api", API, made, shallow=False)
    assert others == [[], []]
    assert set(same) == made


def run_plugin(file: FileDescriptorProto) -> "subprocess.CompletedProcess[bytes]":
    request = CodeGeneratorRequest(file_to_generate=[file.name], proto_file=[file])
    return subprocess.run(
        [sys.executable, ROOT / "tools/protoc_gen_ttrpc.py"],
        input=request.SerializeToString(),
        capture_output=True,
        check=False,
        timeout=60,
    )


def file_with(*services: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name="a/b.proto", package="p.q")
    file.message_type.add(name="M").nested_type.add(name="N")
    for name in services:
        file.service.add(name=name).method.add(
            name="DoIOTwice", input_type=".p.q.M.N", output_type=".p.q.M", server_streaming=True
        )
    return file


def test_names_and_shapes_of_a_service() -> None:
    done = run_plugin(file_with("MyThing"))
    response = CodeGeneratorResponse.FromString(done.stdout)
    (module,) = response.file
    assert module.name == "a/b_ttrpc.py"
    assert 'SERVICE = "p.q.MyThing"' in module.content
    assert "def my_thing_service(implementation: MyThingService) -> Service:" in module.content
    assert '"DoIOTwice": (DO_IO_TWICE, implementation.do_io_twice),' in module.content
    assert "    Kind.SERVER_STREAM,\n    b_pb2.M.N,\n    b_pb2.M,\n" in module.content
    assert ") -> AsyncIterator[b_pb2.M]:" in module.content


def test_a_file_without_a_service_gives_no_module() -> None:
    done = run_plugin(file_with())
    assert not CodeGeneratorResponse.FromString(done.stdout).file
    assert done.returncode == 0


def test_two_services_in_a_file_are_refused() -> None:
    done = run_plugin(file_with("One", "Two"))
    assert done.returncode != 0
    assert b"a/b.proto: more than one service in a file" in done.stderr
