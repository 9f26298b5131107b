"""The order of a change's two parts, and what a refusal undoes."""

import logging

import pytest

from hcs.vm_machine import Document, FakeMachine
from podshim.errors import ShimError

GUEST: Document = {"RequestType": "Add", "ResourceType": "X", "Settings": {"a": 1}}


def asked(kind: str, path: str = "VirtualMachine/X") -> Document:
    document: Document = {"RequestType": kind, "Settings": 5, "GuestRequest": GUEST}
    return {"ResourcePath": path, **document} if path else document


def host(kind: str) -> tuple[str, Document]:
    return "host", {"ResourcePath": "VirtualMachine/X", "RequestType": kind, "Settings": 5}


async def test_adding_begins_with_the_host() -> None:
    machine = FakeMachine()
    await machine.modifier.both(asked("Add"))
    assert machine.log == [host("Add"), ("guest", GUEST)]


async def test_removing_begins_with_the_guest() -> None:
    machine = FakeMachine()
    await machine.modifier.both(asked("Remove"))
    assert machine.log == [("guest", GUEST), host("Remove")]


@pytest.mark.parametrize("document", [asked("Update"), asked("Add", path="")])
async def test_what_is_the_guests_alone(document: Document) -> None:
    machine = FakeMachine()
    await machine.modifier.both(document)
    assert machine.log == [("guest", GUEST)]


async def test_what_is_the_hosts_alone() -> None:
    machine = FakeMachine()
    await machine.modifier.both({"ResourcePath": "P", "RequestType": "Add"})
    assert machine.log == [("host", {"ResourcePath": "P", "RequestType": "Add"})]


async def test_without_a_connection_hcs_gets_all() -> None:
    machine = FakeMachine(guest=False)
    await machine.modifier.both(asked("Add"))
    await machine.modifier.inside(GUEST)
    assert machine.log == [("host", asked("Add")), ("host", {"GuestRequest": GUEST})]


async def test_the_host_refuses_to_add() -> None:
    machine = FakeMachine()
    machine.refuse = lambda side, _: side == "host"
    with pytest.raises(ShimError, match=r"^adding VM resources: the host refuses$"):
        await machine.modifier.both(asked("Add"))
    assert machine.log == [host("Add")]


async def test_the_guest_refuses_what_was_added() -> None:
    machine = FakeMachine()
    machine.refuse = lambda side, _: side == "guest"
    with pytest.raises(ShimError, match=r"^guest modify: the guest refuses$"):
        await machine.modifier.both(asked("Add"))
    assert machine.log == [host("Add"), ("guest", GUEST), host("Remove")]


async def test_a_rollback_that_fails_does_not_hide_why(caplog: pytest.LogCaptureFixture) -> None:
    machine = FakeMachine()
    machine.refuse = lambda side, document: side == "guest" or document["RequestType"] == "Remove"
    with caplog.at_level(logging.ERROR), pytest.raises(ShimError, match="the guest refuses"):
        await machine.modifier.both(asked("Add"))
    assert "failed to roll back resource add: the host refuses" in caplog.text


async def test_the_guest_refuses_to_give_up() -> None:
    machine = FakeMachine()
    machine.refuse = lambda side, _: side == "guest"
    with pytest.raises(ShimError, match="guest modify"):
        await machine.modifier.both(asked("Remove"))
    assert machine.log == [("guest", GUEST)]


async def test_the_host_refuses_to_remove() -> None:
    machine = FakeMachine()
    machine.refuse = lambda side, _: side == "host"
    with pytest.raises(ShimError, match=r"^removing VM resources: the host refuses$"):
        await machine.modifier.both(asked("Remove"))
