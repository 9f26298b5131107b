"""The bridge to a guest's agent over a stream in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from hcs.vm_guest_support import (
    LINUX,
    RESPONSE,
    TYPES,
    Document,
    FakeAgent,
    Network,
    pair,
    port_service,
)
from podshim.engines.hcs.results import ClosedError, HcsError
from podshim.engines.hcs.vm.guest import compute, connection
from podshim.engines.hcs.vm.guest.bridge import BridgeClosedError, GuestError
from podshim.engines.hcs.vm.guest.connection import Capabilities, Guest
from podshim.engines.hcs.vm.guest.core import VM_ITSELF
from podshim.errors import AlreadyExistsError, ShimError

NOT_FOUND = 0x80070490 - (1 << 32)
NO_SYSTEM = 0xC037010E - (1 << 32)


@dataclass
class World:
    """A guest, its agent, and what connects them."""

    guest: Guest
    agent: FakeAgent
    network: Network


async def meet(capabilities: Document | None = None, limit: float = 60.0) -> World:
    host, guest_end = pair()
    network, agent = Network(), FakeAgent(guest_end, capabilities)
    guest = await connection.connect(host, network.listen, timeout=limit)
    return World(guest, agent, network)


@pytest.fixture
async def windows() -> AsyncIterator[World]:
    world = await meet()
    yield world
    await world.guest.close()
    await world.agent.close()


@pytest.fixture
async def linux() -> AsyncIterator[World]:
    world = await meet(LINUX)
    yield world
    await world.guest.close()
    await world.agent.close()


# --- negotiation


async def test_greeting_a_windows_guest() -> None:
    host, guest_end = pair()
    agent = FakeAgent(guest_end)
    zone = {"Bias": -60, "StandardName": "here"}
    guest = await connection.connect(host, Network().listen, time_zone=zone)
    null = "00000000-0000-0000-0000-000000000000"
    base = {"ActivityId": null}
    config = '{"SystemType":"Container","TimeZoneInformation":{"Bias":-60,"StandardName":"here"}}'
    assert agent.requests == [
        (
            "NegotiateProtocol",
            {"ContainerId": "", **base, "MinimumVersion": 4, "MaximumVersion": 4},
        ),
        ("Create", {"ContainerId": null, **base, "ContainerConfig": config}),
        ("Start", {"ContainerId": null, **base}),
    ]
    assert agent.ids == [0, 1, 2]
    assert guest.windows
    assert guest.capabilities == Capabilities(
        "windows", namespaces=True, signals=True, stacks=True, host_process=True
    )
    await guest.close()
    await agent.close()


async def test_greeting_a_linux_guest(linux: World) -> None:
    assert [name for name, _ in linux.agent.requests] == ["NegotiateProtocol"]
    assert not linux.guest.windows
    assert linux.guest.capabilities.delete_state


async def test_a_guest_that_names_no_system_is_a_windows() -> None:
    world = await meet({"SendHostCreateMessage": True})
    assert world.guest.capabilities == Capabilities()
    assert [name for name, _ in world.agent.requests] == ["NegotiateProtocol", "Create"]
    await world.guest.close()
    await world.agent.close()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"Version": 3}, "unexpected version 3 returned"),
        ({}, "unexpected version 0 returned"),
        ({"Version": "four"}, "answer of the guest: Version must be a number"),
        ({"Version": 4, "Capabilities": []}, "answer of the guest: Capabilities must be"),
        ({"Result": 5, "ErrorMessage": "no"}, "guest RPC failure: no"),
    ],
)
async def test_a_greeting_that_fails(answer: Document, complaint: str) -> None:
    host, guest_end = pair()
    agent = FakeAgent(guest_end)
    agent.answers["NegotiateProtocol"] = answer
    with pytest.raises(ShimError, match=complaint):
        await connection.connect(host, Network().listen)
    await agent.task  # it sees the end: the connection has been closed
    await agent.close()


# --- calls


async def test_calls_are_answered_in_any_order(windows: World) -> None:
    held: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
    windows.agent.answers["DumpStacks"] = lambda _: held
    stacks = asyncio.ensure_future(windows.guest.stacks())
    await windows.agent.wait_for("DumpStacks")
    await windows.guest.modify({"RequestType": "Add", "ResourceType": "Network", "Settings": {}})
    assert not stacks.done()
    held.set_result({"GuestStacks": "main()"})
    assert await stacks == "main()"


async def test_a_refusal(windows: World) -> None:
    windows.agent.answers["ModifySettings"] = {"Result": NO_SYSTEM, "ErrorMessage": "bad disk"}
    with pytest.raises(GuestError) as caught:
        await windows.guest.modify({"RequestType": "Add"})
    assert str(caught.value) == "guest RPC failure: bad disk"
    assert caught.value.result == 0xC037010E
    assert not windows.guest.bridge.closed


async def test_a_refusal_without_words(windows: World) -> None:
    windows.agent.answers["ModifySettings"] = {"Result": NOT_FOUND}
    with pytest.raises(GuestError, match=r"guest RPC failure: .*1168"):
        await windows.guest.modify({})


async def test_the_end_of_the_guest_fails_all_calls(windows: World) -> None:
    windows.agent.answers["DumpStacks"] = lambda _: None
    stacks = asyncio.ensure_future(windows.guest.stacks())
    await windows.agent.wait_for("DumpStacks")
    await windows.agent.close()
    with pytest.raises(BridgeClosedError) as caught:
        await stacks
    assert str(caught.value) == "bridge closed: use of closed network connection"
    await windows.guest.wait()
    with pytest.raises(BridgeClosedError):
        await windows.guest.stacks()


@pytest.mark.parametrize(
    ("kind", "number", "text"),
    [
        (RESPONSE | TYPES["Start"], 77, "{}"),
        (0x30100201, 0, "{}"),
        (0x50000000, 0, "{}"),
        (0x30100101, 0, '{"ContainerId": "nobody"}'),
    ],
)
async def test_nonsense_kills_the_bridge(windows: World, kind: int, number: int, text: str) -> None:
    windows.agent.answers["DumpStacks"] = lambda _: None
    stacks = asyncio.ensure_future(windows.guest.stacks())
    await windows.agent.wait_for("DumpStacks")
    await windows.agent.send(kind, number, text)
    with pytest.raises(BridgeClosedError):
        await stacks
    with pytest.raises(BridgeClosedError, match="bridge"):
        await windows.guest.modify({})


async def test_an_answer_whose_result_is_no_number(windows: World) -> None:
    windows.agent.answers["DumpStacks"] = {"Result": "fine"}
    with pytest.raises(BridgeClosedError, match="Result is no number"):
        await windows.guest.stacks()
    await windows.guest.wait()


async def test_an_agent_that_does_not_answer_is_lost() -> None:
    world = await meet(limit=0.05)
    world.agent.answers["DumpStacks"] = lambda _: None
    with pytest.raises(BridgeClosedError):
        await world.guest.stacks()
    with pytest.raises(BridgeClosedError, match="message timeout"):
        await world.guest.modify({})
    await world.guest.close()
    await world.agent.close()


async def test_a_call_that_may_be_ignored_is_given_up(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {})
    held: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
    windows.agent.answers["GetProperties"] = lambda _: held
    asking = asyncio.ensure_future(container.properties(["Statistics"]))
    await windows.agent.wait_for("GetProperties")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    held.set_result({"Properties": "{}"})
    windows.agent.answers["GetProperties"] = {"Properties": '{"Id": "c"}'}
    assert await container.properties() == {"Id": "c"}


async def test_a_call_that_must_be_heard_outlasts_its_caller(windows: World) -> None:
    held: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
    windows.agent.answers["ModifySettings"] = lambda _: held
    asking = asyncio.ensure_future(windows.guest.modify({}))
    await windows.agent.wait_for("ModifySettings")
    for _ in range(3):
        asking.cancel()
        await asyncio.sleep(0)
    assert not asking.done()
    held.set_result({})
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_log_service(windows: World) -> None:
    await windows.guest.modify_log_service("ModifyServiceSettings", "{}")
    await windows.guest.modify_log_service("StartLogForwarding")
    common = {
        "ContainerId": VM_ITSELF,
        "ActivityId": VM_ITSELF,
        "PropertyType": "LogForwardService",
    }
    assert windows.agent.named("ModifyServiceSettings") == [
        {**common, "Settings": {"RPCType": "ModifyServiceSettings", "Settings": "{}"}},
        {**common, "Settings": {"RPCType": "StartLogForwarding"}},
    ]


async def test_state_of_a_container_is_deleted(linux: World) -> None:
    await linux.guest.delete_state("c")
    assert linux.agent.named("DeleteContainerState") == [
        {"ContainerId": "c", "ActivityId": VM_ITSELF}
    ]


# --- containers


async def test_a_container_lives_and_ends(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {"Container": {}})
    (create,) = windows.agent.named("Create")[1:]
    assert (create["ContainerId"], create["ContainerConfig"]) == ("c", '{"Container":{}}')
    await container.start()
    assert windows.agent.named("Start")[1]["ContainerId"] == "c"
    await container.shutdown()
    await container.terminate()
    assert windows.agent.named("ShutdownGraceful")[0]["ContainerId"] == "c"
    assert windows.agent.named("ShutdownForced")[0]["ContainerId"] == "c"
    waiting = asyncio.ensure_future(container.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await windows.agent.end_container("c")
    await waiting
    assert (container.closed, container.exit_error) == (False, None)
    await compute.create_container(windows.guest, "c", {})  # its id is free again


async def test_a_container_that_ends_before_it_is_created(windows: World) -> None:
    async def end_first(request: Document) -> Document:
        await windows.agent.end_container(request["ContainerId"])
        return {}

    windows.agent.answers["Create"] = end_first
    container = await compute.create_container(windows.guest, "c", {})
    await container.wait()


async def test_a_container_that_is_there_already(windows: World) -> None:
    await compute.create_container(windows.guest, "c", {})
    with pytest.raises(AlreadyExistsError, match="container c: already exists"):
        await compute.create_container(windows.guest, "c", {})
    assert len(windows.agent.named("Create")) == 2


async def test_a_container_that_is_refused_leaves_its_id(windows: World) -> None:
    windows.agent.answers["Create"] = {"Result": 5, "ErrorMessage": "no"}
    with pytest.raises(GuestError, match="no"):
        await compute.create_container(windows.guest, "c", {})
    del windows.agent.answers["Create"]
    await compute.create_container(windows.guest, "c", {})


async def test_the_end_of_the_guest_ends_containers(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {})
    await windows.agent.close()
    await container.wait()
    with pytest.raises(BridgeClosedError):
        await compute.create_container(windows.guest, "d", {})


async def test_a_closed_container_tells_nothing(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {})
    waiting = asyncio.ensure_future(container.wait())
    await container.close()
    await container.close()
    with pytest.raises(ClosedError, match="container closed"):
        await waiting
    assert container.closed


async def test_shutting_down_what_is_not_there(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {})
    windows.agent.answers["ShutdownGraceful"] = {"Result": NO_SYSTEM}
    await container.shutdown()
    windows.agent.answers["ShutdownForced"] = {"Result": 5}
    with pytest.raises(HcsError):
        await container.terminate()


async def test_properties_and_changes_of_a_container(windows: World) -> None:
    container = await compute.create_container(windows.guest, "c", {})
    windows.agent.answers["GetProperties"] = {"Properties": json.dumps({"SystemGUID": "g"})}
    assert await container.properties(["SystemGUID"]) == {"SystemGUID": "g"}
    assert windows.agent.named("GetProperties")[0]["Query"] == '{"PropertyTypes":["SystemGUID"]}'
    windows.agent.answers["GetProperties"] = {"Properties": "["}
    with pytest.raises(ShimError, match="answer of the guest: Properties is no JSON"):
        await container.properties()
    await container.modify('{"ResourceType":"X"}')
    await container.modify({"ResourceType": "Y"})
    asked = [request["Request"] for request in windows.agent.named("ModifySettings")]
    assert asked == [{"ResourceType": "X"}, {"ResourceType": "Y"}]
    assert windows.agent.named("ModifySettings")[0]["ContainerId"] == "c"


# --- processes


async def test_a_process_of_a_windows_guest(windows: World) -> None:
    agent = windows.agent
    agent.answers["ExecuteProcess"] = {"ProcessId": 1234}
    exits: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
    agent.answers["WaitForProcess"] = lambda _: exits
    parameters = (
        '{"CommandLine":"cmd","CreateStdInPipe":true,"CreateStdOutPipe":true,'
        '"CreateStdErrPipe":false}'
    )
    process = await compute.create_process(windows.guest, "c", parameters)
    first, second = port_service(0x40000001), port_service(0x40000002)
    (asked,) = agent.named("ExecuteProcess")
    assert asked == {
        "ContainerId": "c",
        "ActivityId": VM_ITSELF,
        "Settings": {
            "ProcessParameters": parameters,
            "StdioRelaySettings": {"StdIn": str(first), "StdOut": str(second)},
        },
    }
    waiting = await agent.wait_for("WaitForProcess")
    assert (waiting["ProcessId"], waiting["TimeoutInMs"]) == (1234, 0xFFFFFFFF)
    assert process.pid == 1234
    pipes = process.pipes
    assert pipes.stdin is not None
    assert pipes.stdout is not None
    assert pipes.stderr is None

    reading = asyncio.ensure_future(pipes.stdout.read(100))
    writing = asyncio.ensure_future(pipes.stdin.write(b"input"))
    await asyncio.sleep(0)
    assert not reading.done()  # the guest has not connected yet
    stdin, stdout = windows.network.connect(first), windows.network.connect(second)
    await stdout.write(b"output")
    assert await reading == b"output"
    assert await writing == 5
    assert await stdin.read(100) == b"input"
    await process.close_stdin()
    assert await stdin.read(100) == b""
    await stdout.write(b"more")
    assert await pipes.stdout.read(100) == b"more"

    exits.set_result({"ExitCode": 0xC000013A})
    assert await process.wait() == 0xC000013A
    await process.close()
    assert windows.network.listeners == {}


async def test_a_process_of_a_linux_guest(linux: World) -> None:
    linux.agent.answers["ExecuteProcess"] = {"ProcessId": 7}
    linux.agent.answers["WaitForProcess"] = {"ExitCode": 3}
    await compute.create_process(linux.guest, "c", '{"CreateStdErrPipe":true}')
    process = await compute.create_vm_process(linux.guest, '{"CreateStdInPipe":true}')
    settings = [asked["Settings"] for asked in linux.agent.named("ExecuteProcess")]
    assert [one["VsockStdioRelaySettings"] for one in settings] == [
        {"StdErr": 0x40000001},
        {"StdIn": 0x40000002},  # ports are never used again
    ]
    assert linux.agent.named("ExecuteProcess")[1]["ContainerId"] == VM_ITSELF
    assert await process.wait() == 3
    await process.close()


async def test_a_process_that_is_refused_leaves_no_listeners(windows: World) -> None:
    windows.agent.answers["ExecuteProcess"] = {"Result": 2, "ErrorMessage": "not found"}
    with pytest.raises(GuestError, match="guest RPC failure: not found"):
        await compute.create_process(
            windows.guest, "c", '{"CreateStdInPipe":true,"CreateStdOutPipe":true}'
        )
    assert windows.network.listeners == {}
    windows.agent.answers["ExecuteProcess"] = {"ProcessId": "x"}
    with pytest.raises(ShimError, match="answer of the guest: ProcessId must be a number"):
        await compute.create_process(windows.guest, "c", "{}")


async def running(world: World) -> compute.GuestProcess:
    world.agent.answers["ExecuteProcess"] = {"ProcessId": 5}
    world.agent.answers["WaitForProcess"] = lambda _: None
    return await compute.create_process(world.guest, "c", "{}")


async def test_signals(windows: World) -> None:
    process = await running(windows)
    assert await process.signal({"Signal": "CtrlShutdown"})
    assert await process.kill()
    first, second = windows.agent.named("SignalProcess")
    assert (first["ProcessId"], first["Options"]) == (5, {"Signal": "CtrlShutdown"})
    assert "Options" not in second
    windows.agent.answers["SignalProcess"] = {"Result": NOT_FOUND}
    assert not await process.signal({"Signal": 15})
    windows.agent.answers["SignalProcess"] = {"Result": 5}
    with pytest.raises(GuestError):
        await process.kill()
    await process.close()


async def test_resizing(windows: World) -> None:
    process = await running(windows)
    await process.resize(120, 40)
    (asked,) = windows.agent.named("ResizeConsole")
    assert (asked["ProcessId"], asked["Width"], asked["Height"]) == (5, 120, 40)
    await process.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"ExitCode": 9}, 9),
        ({}, 0),
        ({"Result": NOT_FOUND, "ExitCode": 4}, 4),
        ({"Result": NOT_FOUND}, 0xFFFFFFFF),
    ],
)
async def test_exit_codes(windows: World, answer: Document, code: int) -> None:
    windows.agent.answers["WaitForProcess"] = answer
    process = await compute.create_process(windows.guest, "c", "{}")
    assert await process.wait() == code
    await process.close()


@pytest.mark.parametrize("answer", [{"Result": 5}, {"ExitCode": "x"}])
async def test_an_exit_that_the_guest_can_not_tell(windows: World, answer: Document) -> None:
    windows.agent.answers["WaitForProcess"] = answer
    process = await compute.create_process(windows.guest, "c", "{}")
    with pytest.raises(HcsError):
        await process.wait()
    await process.close()


async def test_closing_a_process_ends_its_waits(windows: World) -> None:
    windows.agent.answers["WaitForProcess"] = lambda _: None
    process = await compute.create_process(windows.guest, "c", '{"CreateStdOutPipe":true}')
    waiting = asyncio.ensure_future(process.wait())
    assert process.stdout is not None
    reading = asyncio.ensure_future(process.stdout.read(1))
    await asyncio.sleep(0)
    await process.close()
    await process.close()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(OSError, match="closed"):
        await reading


async def test_the_end_of_the_guest_ends_waits(windows: World) -> None:
    process = await running(windows)
    waiting = asyncio.ensure_future(process.wait())
    await windows.agent.wait_for("WaitForProcess")
    await windows.agent.close()
    with pytest.raises(BridgeClosedError):
        await waiting
    await process.close()
