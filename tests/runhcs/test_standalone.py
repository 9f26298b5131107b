"""The one task of a shim without a pod: what it may be, and what becomes of a VM made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from podshim.errors import Code, ShimError
from podshim.hcsspec import builds
from runhcs.slot_support import SANDBOX_ID, TYPE, argon, in_pod, lcow, status_of, xenon

if TYPE_CHECKING:
    from runhcs.conftest import MakeShim
    from runhcs.slot_support import Shim, Spec


async def test_a_second_creation_is_refused(shim: Shim) -> None:
    await shim.create(argon())
    answer = await status_of(shim.create(argon()))
    assert answer == (Code.ALREADY_EXISTS, "task with id: 'c1' already exists: already exists")
    assert await status_of(shim.create(argon(), "c2")) == answer
    assert len(shim.engine.requests) == 1


async def test_another_id_than_the_shim_s_is_refused(shim: Shim) -> None:
    answer = await status_of(shim.create(argon(), "c2"))
    assert answer == (
        Code.INVALID_ARGUMENT,
        "task with id: 'c2' cannot be created in the shim of 'c1': invalid argument",
    )
    assert not shim.engine.requests


@pytest.mark.parametrize("kind", ["container", "sandbox"])
async def test_a_pod_s_container_is_refused(shim: Shim, kind: str) -> None:
    answer = await status_of(shim.create(in_pod(argon(), kind)))
    assert answer == (
        Code.FAILED_PRECONDITION,
        (
            "cannot create standalone task, expected no annotation:"
            f" 'io.kubernetes.cri.container-type': got '{kind}': failed precondition"
        ),
    )


@pytest.mark.parametrize(
    ("annotations", "text"),
    [
        ({SANDBOX_ID: "p"}, f"cannot specify '{SANDBOX_ID}' without '{TYPE}'"),
        ({TYPE: "container"}, f"cannot specify '{TYPE}' without '{SANDBOX_ID}'"),
        ({TYPE: "Sandbox", SANDBOX_ID: "p"}, f"invalid '{TYPE}': 'Sandbox'"),
    ],
)
@pytest.mark.parametrize("is_sandbox", [False, True], ids=["task", "pod"])
async def test_a_place_in_a_pod_that_is_none(
    make_shim: MakeShim, annotations: dict[str, str], text: str, is_sandbox: bool
) -> None:
    shim = await make_shim(is_sandbox=is_sandbox)
    answer = await status_of(shim.create(argon(annotations=annotations)))
    assert answer == (Code.UNKNOWN, text)


@pytest.mark.parametrize("spec", [xenon(), lcow()], ids=["wcow", "lcow"])
async def test_an_isolated_task_has_a_vm_of_its_own(shim: Shim, spec: Spec) -> None:
    await shim.run(spec)
    assert shim.engine.calls == ["debugger", "vm c1@vm", "boot c1@vm", "create c1", "start c1"]
    request = shim.engine.requests[0]
    assert request.vm is shim.vm()
    assert request.owns_vm
    assert shim.engine.vm_requests[0].bundle.path == str(shim.folder / "c1")
    shim.process().finish(0)
    await shim.wait()
    ending = ["free c1", "init_exited c1", "delete c1", "close c1@vm"]
    assert shim.engine.calls[-4:] == ending
    assert not shim.engine.vms


async def test_a_task_on_the_host_has_none(shim: Shim) -> None:
    await shim.create(argon())
    assert shim.engine.requests[0].vm is None
    assert not shim.engine.requests[0].owns_vm


async def test_old_windows_has_no_vms_of_ours(shim: Shim) -> None:
    shim.engine.build = builds.RS4
    await shim.create(xenon())
    assert not shim.engine.vm_requests


async def test_old_windows_has_no_linux(shim: Shim) -> None:
    shim.engine.build = builds.RS4
    answer = await status_of(shim.create(lcow()))
    assert answer == (
        Code.FAILED_PRECONDITION,
        "oci spec does not contain WCOW or LCOW spec: failed precondition",
    )


@pytest.mark.parametrize("failing", ["vm c1@vm", "boot c1@vm", "create c1"])
async def test_whatever_fails_leaves_no_vm(shim: Shim, failing: str) -> None:
    shim.engine.fail(failing, ShimError("HRESULT 0x80370109"))
    assert await status_of(shim.create(xenon())) == (Code.UNKNOWN, "HRESULT 0x80370109")
    assert not shim.engine.vms
    assert not shim.engine.containers
    assert shim.told() == []
    closed = shim.engine.calls.count("close c1@vm")
    assert closed == (0 if failing.startswith("vm") else 1)
    await shim.create(xenon())


async def test_a_creation_may_be_tried_again(shim: Shim) -> None:
    shim.engine.fail("create c1", ShimError("no pipe"))
    assert await status_of(shim.create(argon())) == (Code.UNKNOWN, "no pipe")
    await shim.create(argon())
    assert shim.told() == ["create c1"]
