"""Starting a VM, up to the point where its guest does what it is asked.

Theory of operation. A Linux guest's init first asks for random bytes, then connects its log; a
Windows guest's log service comes whenever it likes, and comes again when it was restarted. Then the
agent connects, and is talked to. Whoever waits for a guest also looks at the VM: one that has ended
never connects. All of it together has one limit of time.

What a confidential guest must know before anything is done with it, its policy, is told first.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from podshim.engines.hcs.documents.jsontext import present
from podshim.engines.hcs.documents.modify import guest_request
from podshim.engines.hcs.vm import bootfiles, guestlog, logsources
from podshim.engines.hcs.vm.guest import connection
from podshim.engines.hcs.vm.guest.sockets import WINDOWS_HOST
from podshim.engines.hcs.vm.host import UTC
from podshim.engines.hcs.vm.options import WcowOptions
from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from podshim.engines.hcs.documents.jsontext import Json
    from podshim.engines.hcs.vm.guest.connection import Guest
    from podshim.engines.hcs.vm.guest.sockets import GuestListener
    from podshim.engines.hcs.vm.host import VmHost
    from podshim.engines.hcs.vm.making import Made

_log = logging.getLogger(__name__)

T = TypeVar("T")

ENTROPY_BYTES = 512


class Boot:
    """The start of one VM, and what goes on in the background after it.

    Args:
        host: Where it lives.
        made: The VM.
        ended: Set when it has ended.
    """

    def __init__(self, host: VmHost, made: Made, ended: asyncio.Event) -> None:
        self._host = host
        self._made = made
        self._ended = ended
        self._options = made.blueprint.options
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> Guest:
        """Start the VM and connect to its guest.

        Raises:
            ShimError: It can't be started, has ended, or its guest refuses.
        """
        made, windows = self._made, isinstance(self._options, WcowOptions)
        listeners = made.listeners
        first: list[asyncio.Task[None]] = []
        if listeners.entropy is not None:
            first.append(asyncio.create_task(self._feed_entropy(listeners.entropy)))
        if listeners.log is not None and windows:
            self._spawn(self._take_logs(listeners.log))
        elif listeners.log is not None:
            first.append(asyncio.create_task(self._take_log(listeners.log)))
        try:
            await made.system.start()
            for task in first:
                await self._or_end(task)
        finally:
            for task in first:
                task.cancel()
            await asyncio.gather(*first, return_exceptions=True)
        return await self._connect(windows=windows)

    async def close(self) -> None:
        """End what goes on in the background, and all listening."""
        self._made.listeners.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _connect(self, *, windows: bool) -> Guest:
        listener = self._made.listeners.agent
        if listener is None:
            raise ShimError("nothing listens for the guest's agent")
        try:
            stream = await self._or_end(asyncio.ensure_future(listener.accept()))
        except OSError as error:
            raise ShimError(f"failed to connect to GCS: {error}") from error
        finally:
            listener.close()
        zone = await self._time_zone() if windows else None
        guest = await connection.connect(stream, self._made.listen, time_zone=zone)
        try:
            await self._introduce(guest, windows=windows)
        except BaseException:
            await guest.close()
            raise
        return guest

    async def _introduce(self, guest: Guest, *, windows: bool) -> None:
        if windows:
            addresses = {"LocalAddress": str(self._made.vm), "ParentAddress": str(WINDOWS_HOST)}
            try:
                await guest.modify(guest_request("HvSocket", "Update", addresses))
            except ShimError as error:
                raise ShimError(
                    "failed to do initial GCS setup: failed to configure HVSOCK for external GCS:"
                    f" {error}"
                ) from error
        if self._options.confidential:
            policy = await self._host.run("read reference info", self._policy)
            await guest.modify(guest_request("SecurityPolicy", "Add", policy))
        if windows:
            await self._forward_logs(guest)

    async def _forward_logs(self, guest: Guest) -> None:
        """Let a Windows guest forward its log; only a policy makes a failure one of the VM."""
        options = self._options
        if not isinstance(options, WcowOptions) or not options.forward_logs:
            return
        if not guest.capabilities.log_forwarding:
            _log.warning("VM %s: its guest does not forward logs", options.id)
            return
        try:
            settings = logsources.sources(
                options.log_sources,
                defaults=options.default_log_sources,
                by_name=options.confidential,
            )
            await guest.modify_log_service("ModifyServiceSettings", settings)
            await guest.modify_log_service("StartLogForwarding")
        except ShimError as error:
            if options.confidential:
                raise ShimError(f"failed to set log sources: {error}") from error
            _log.warning("VM %s: its guest does not forward logs: %s", options.id, error)

    def _policy(self) -> Json:
        """The policy as a guest takes it; what measurements there are go with it. Blocks."""
        options, root = self._options, ""
        if not isinstance(options, WcowOptions):
            host = self._host
            root = bootfiles.default_linux_folder(host.program_folder, host.program_files)
        return present(
            {
                "EnforcerType": options.policy_enforcer,
                "EncodedSecurityPolicy": options.security_policy,
                "EncodedUVMReference": _encoded(root, options.reference_info_file),
                "EncodedUVMHashEnvelopeReference": _encoded(root, options.hash_envelope_file),
            }
        )

    async def _time_zone(self) -> Json:
        options = self._options
        if isinstance(options, WcowOptions) and options.utc:
            return UTC
        return await self._host.run("get time zone information", self._host.time_zone)

    async def _feed_entropy(self, listener: GuestListener) -> None:
        try:
            with await listener.accept() as stream:
                await stream.write(secrets.token_bytes(ENTROPY_BYTES))
        except OSError as error:
            raise ShimError(f"failed to connect to entropy socket: {error}") from error
        finally:
            listener.close()

    async def _take_log(self, listener: GuestListener) -> None:
        """Wait for the one log connection of a Linux guest."""
        try:
            stream = await listener.accept()
        except OSError as error:
            raise ShimError(f"failed to connect to log socket: {error}") from error
        finally:
            listener.close()
        self._spawn(guestlog.forward(stream, self._options.id))

    async def _take_logs(self, listener: GuestListener) -> None:
        """Take log connections of a Windows guest, one after the other."""
        with contextlib.suppress(OSError):  # the listener is closed with the VM
            while True:
                await guestlog.forward(await listener.accept(), self._options.id)

    async def _or_end(self, work: asyncio.Future[T]) -> T:
        """What `work` comes to, unless the VM ends before.

        Raises:
            ShimError: It has ended.
        """
        end = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:
            end.cancel()
            work.cancel()
        error = self._made.system.exit_error
        raise ShimError(str(error) if error else f"VM {self._options.id} has ended while it booted")

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _encoded(root: str, name: str) -> str:
    """A file in base64; empty if it is not there."""
    if not name:
        return ""
    try:
        return base64.b64encode((Path(root) / name).read_bytes()).decode("ascii")
    except FileNotFoundError:
        return ""
