"""Checkpoint and restore, with a runtime that plays them: CRIU itself is rare."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from oci.oci_support import NO_STREAMS, Holdings, Workshop, children, settled
from podshim.api import runc_options_pb2
from podshim.engine import CreateRequest, TypedValue
from podshim.errors import NotFoundError, ShimError

PLAYER = """#!/bin/sh
# Plays `{name}`: notes its command, and leaves a process behind for a restore.
while [ "${{1#--}}" != "$1" ]; do
    case $1 in --version) echo "{name} version 1"; exit 0;; *) shift 2;; esac
done
echo "$@" >> calls
work=$5
case $1 in
    checkpoint) [ -e fail ] && {{ echo cause > "$work/dump.log"; echo "no luck
more" >&2; exit 1; }};;
    restore)
        [ -e fail ] && {{ echo "no luck" >&2; exit 1; }}
        sleep 600 >/dev/null 2>&1 & printf $! > init.pid;;
    delete) kill -9 $(cat init.pid) 2>/dev/null;;
esac
exit 0
"""


@pytest.fixture
def request_(shop: Workshop) -> CreateRequest:
    player = shop.folder / "player"
    player.write_text(PLAYER.format(name=shop.runtime))
    player.chmod(0o755)
    return shop.request(shop.spec("/bin/true"), NO_STREAMS, binary_name=str(player))


def calls(request: CreateRequest) -> list[str]:
    return Path(request.bundle.file("calls")).read_text().splitlines()


async def test_restore(shop: Workshop, request_: CreateRequest) -> None:
    before = Holdings.now()
    box = await shop.create(replace(request_, checkpoint="/images"))
    init = box.container.init
    assert init.pid == 0
    oom = asyncio.create_task(box.container.wait_oom())
    await init.start()
    assert init.pid in children()
    extra = " --no-subreaper" if shop.runtime == "runc" else ""
    path = request_.bundle.path
    assert calls(request_) == [
        (
            f"restore --image-path /images --work-path {path}/work --detach"
            f" --pid-file {path}/init.pid{extra} --bundle {path} {request_.id}"
        )
    ]
    await box.remove()
    assert (await init.wait()).status == 137
    oom.cancel()
    await asyncio.wait([oom])
    await settled(before)


async def test_a_failed_restore_leaves_nothing(shop: Workshop, request_: CreateRequest) -> None:
    before = Holdings.now()
    Path(request_.bundle.file("fail")).touch()
    box = await shop.create(replace(request_, checkpoint="/images"))
    with pytest.raises(ShimError, match=r"OCI runtime restore failed: .*exit status 1"):
        await box.container.init.start()
    assert box.container.init.pid == 0
    await box.remove()
    await settled(before)


async def test_a_container_that_was_never_restored(shop: Workshop, request_: CreateRequest) -> None:
    box = await shop.create(replace(request_, checkpoint="/images"))
    with pytest.raises(NotFoundError, match="cgroup does not exist"):
        await box.container.stats()
    await box.remove()


async def test_checkpoint(shop: Workshop, request_: CreateRequest) -> None:
    box = await shop.create(replace(request_, checkpoint="/images"))
    await box.container.init.start()
    await box.container.checkpoint("/to", None)
    work = request_.bundle.file("work/criu-work")
    line = f"checkpoint --image-path /to --work-path {work} --leave-running {request_.id}"
    assert calls(request_)[-1] == line
    assert not Path(work).exists()
    options = runc_options_pb2.CheckpointOptions(exit=True, work_path=str(shop.folder / "mine"))
    value = TypedValue("containerd.runc.v1.CheckpointOptions", options.SerializeToString())
    await box.container.checkpoint("/to", value)
    line = f"checkpoint --image-path /to --work-path {shop.folder}/mine {request_.id}"
    assert calls(request_)[-1] == line
    assert (shop.folder / "mine").exists()
    await box.remove()


async def test_a_failed_checkpoint_keeps_the_log(shop: Workshop, request_: CreateRequest) -> None:
    box = await shop.create(replace(request_, checkpoint="/images"))
    await box.container.init.start()
    Path(request_.bundle.file("fail")).touch()
    with pytest.raises(ShimError) as caught:
        await box.container.checkpoint("/to", None)
    kept = Path(request_.bundle.file("criu-dump.log"))
    assert str(caught.value).endswith(f"exit status 1: no luck path= {kept}")
    assert kept.read_text() == "cause\n"
    await box.remove()
