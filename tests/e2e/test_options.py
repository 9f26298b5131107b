"""Runtime options, in both shapes in which containerd sends them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import any_pb2, timestamp_pb2

from e2e.e2e_support import House, options, refused, run, unchanged
from podshim.api import runc_options_pb2, runtime_options_pb2
from podshim.errors import Code


def toml(text: str) -> runtime_options_pb2.Options:
    """What CRI sends to a runtime of any name but runc's."""
    return runtime_options_pb2.Options(
        type_url="runtimeoptions.v1.Options", config_body=text.encode()
    )


@pytest.mark.parametrize("shape", ["message", "toml", "toml file"])
async def test_both_shapes_choose_binary_and_root(house: House, tmp_path: Path, shape: str) -> None:
    """BinaryName and Root are obeyed from runc's Options, a TOML table, or a TOML file.

    They are written down for `delete`.
    """
    root = tmp_path / "state"
    table = f"BinaryName = '{house.runtime}'\nRoot = '{root}'\nSystemdCgroup = false\n"
    chosen: runc_options_pb2.Options | runtime_options_pb2.Options
    if shape == "message":
        chosen = runc_options_pb2.Options(binary_name=house.runtime, root=str(root))
    elif shape == "toml":
        chosen = toml(table)
    else:
        (tmp_path / "runtime.toml").write_text(table)
        chosen = runtime_options_pb2.Options(config_path=str(tmp_path / "runtime.toml"))
    async with house.shell("exit 4", runtime_options=chosen) as task:
        bundle = house.bundles[task.task_id]
        assert (root / house.manager.namespace / task.task_id).is_dir()
        written = json.loads(Path(bundle.file("options.json")).read_text())
        assert written == {"binary_name": house.runtime, "root": str(root)}
        assert Path(bundle.file("runtime")).read_text() == house.runtime
        assert (await task.wait()).status == 4
        await task.delete()
        assert not (root / house.manager.namespace / task.task_id).exists()


@pytest.mark.parametrize(
    ("chosen", "code", "text"),
    [
        (toml("Systemdcgroups = true"), Code.INVALID_ARGUMENT, "Systemdcgroups"),
        (toml("BinaryName = 7"), Code.INVALID_ARGUMENT, "BinaryName"),
        (toml("BinaryName = "), Code.INVALID_ARGUMENT, "TOML"),
        (
            runtime_options_pb2.Options(config_path="/no/such.toml"),
            Code.INVALID_ARGUMENT,
            "/no/such.toml",
        ),
        (timestamp_pb2.Timestamp(seconds=1), Code.INVALID_ARGUMENT, "google.protobuf.Timestamp"),
        (any_pb2.Any(type_url="some.other.Type", value=b"x"), Code.INVALID_ARGUMENT, "some.other"),
        (
            any_pb2.Any(type_url="runtimeoptions.v1.Options", value=b"\xff\xff"),
            Code.INVALID_ARGUMENT,
            "runtimeoptions.v1.Options",
        ),
        (options("no-such-runc"), Code.UNKNOWN, '"no-such-runc"'),
        (options("/etc/passwd"), Code.UNKNOWN, "permission denied"),
    ],
    ids=[
        *("unknown key", "wrong type of value", "no TOML", "no file", "another type"),
        *("an unknown type", "no message", "no binary", "no program"),
    ],
)
async def test_options_that_are_no_use(
    house: House,
    chosen: runtime_options_pb2.Options,
    code: Code,
    text: str,
) -> None:
    """An unknown key, type, file or binary is refused by its name, and nothing is left behind."""
    async with house.place(house.spec(["true"], root="rootfs"), runtime_options=chosen) as shim:
        with refused(code, text):
            await shim.create(rootfs=house.rootfs_mount())
        assert house.topics(shim) == []
    await unchanged(house)


async def test_empty_options_are_the_defaults(house: House) -> None:
    """Options without a value are the defaults: runc, in its usual place."""
    for empty in (runc_options_pb2.Options(), runtime_options_pb2.Options()):
        async with house.shell("exit 4", runtime_options=empty) as task:
            assert Path(house.bundles[task.task_id].file("options.json")).read_text() == "{}"
            assert house.runtime_state(task.task_id).is_dir()
            assert (await task.wait()).status == 4


async def test_the_runtime_s_words_are_told(house: House) -> None:
    """What the runtime logs as its error is in the status's text, and nothing is left."""
    spec = house.spec(["/no/such/program"])
    async with house.place(spec) as shim:
        with refused(Code.UNKNOWN, "OCI runtime create failed: ") as caught:
            await shim.create()
        assert "/no/such/program" in caught.value.message
        assert "no such file or directory" in caught.value.message.lower()
        assert house.topics(shim) == []


async def test_an_id_that_the_runtime_has_already(house: House) -> None:
    """A container that the runtime knows from elsewhere is refused, and stays as it is."""
    async with house.place(house.spec(["sleep", "1000"])) as shim:
        other = shim.bundle.path
        await run(*house.command("create", "--bundle", other, shim.id))
        try:
            with refused(Code.UNKNOWN, "OCI runtime create failed: ") as caught:
                await shim.create()
            assert "exist" in caught.value.message
            state = json.loads(await run(*house.command("state", shim.id)))
            assert state["status"] == "created"
        finally:
            await run(*house.command("delete", "--force", shim.id))
        task = await shim.create()
        await task.start()
