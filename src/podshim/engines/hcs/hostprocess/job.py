"""A HostProcess container's job: made with its limits, ended gracefully or hard.

Theory of operation. The job is the container: processes are created into it, and its last handle,
ours, ends them if nothing else has. That no process is left is a message of the system, for which
`wait_empty` waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.win32.jobport import ACTIVE_PROCESS_ZERO, JobPort
from podshim.win32.jobs import CPU_RATE_HARD_CAP, CPU_RATE_WEIGHT, Job
from podshim.win32.running import (
    CTRL_SHUTDOWN,
    PROCESS_ALL_ACCESS,
    open_process,
    send_control,
)

if TYPE_CHECKING:
    from podshim.engines.hcs.hostprocess.limits import JobLimits
    from podshim.engines.hcs.hostprocess.shortcomings import Shortcomings

log = logging.getLogger(__name__)

#: What processes have to end after they were told to, s.
GRACE: Final = 5.0
#: What the system has to end them hard, s.
_HARD_LIMIT: Final = 10.0
_ENDED_HARD: Final = 1


class HostJob:
    """The job of one container, on the running loop.

    Args:
        container_id: The container's id.
        shortcomings: What it does without.

    Raises:
        OSError: It can't be made; nothing is left behind.
    """

    def __init__(self, container_id: str, shortcomings: Shortcomings) -> None:
        self.container_id = container_id
        self._shortcomings = shortcomings
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.job = Job(f"JobContainer_{container_id}")
        try:
            self._port = JobPort(self.job, self._heard)
        except BaseException:
            self.job.close()
            raise
        try:
            with shortcomings.allowed("figures of input and output"):
                self.job.count_io()
            self.job.kill_on_close()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close our handles, which ends what still runs; any number of times."""
        self.job.close()
        self._port.close()

    def limit(self, limits: JobLimits) -> None:
        """Set limits, as far as this Windows can.

        Raises:
            OSError: It refuses one.
        """
        job, allowed = self.job, self._shortcomings.allowed
        if limits.memory:
            with allowed("limits of memory"):
                job.limit_memory(limits.memory)
        if limits.rate:
            with allowed("limits of processor time"):
                job.limit_cpu(CPU_RATE_HARD_CAP, limits.rate)
        elif limits.weight:
            with allowed("weights of processor time"):
                job.limit_cpu(CPU_RATE_WEIGHT, limits.weight)
        if limits.affinity:
            with allowed("processor affinity"):
                job.bind_to_processors([(entry.mask, entry.group) for entry in limits.affinity])
        if limits.iops or limits.bandwidth:
            with allowed("limits of input and output"):
                job.limit_io(limits.iops, limits.bandwidth)

    async def wait_empty(self, limit: float) -> bool:
        """Wait until no process is left; whether that was so within so many seconds.

        Raises:
            OSError: The job is closed.
        """
        try:
            async with asyncio.timeout(limit):
                while True:
                    self._news.clear()
                    if not self.job.accounting().ActiveProcesses:
                        return True
                    await self._news.wait()
        except TimeoutError:
            return False

    async def shut_down(self) -> None:
        """Tell all processes that the system shuts down, and end hard what does not end.

        Raises:
            OSError: They can't be ended, or the job is closed.
        """
        pids = self.job.pids()
        if not pids:
            return
        await asyncio.to_thread(self._tell, pids)
        if await self.wait_empty(GRACE):
            return
        log.info("container %s did not shut down in %g s: it is ended", self.container_id, GRACE)
        await self.terminate()

    async def terminate(self) -> None:
        """End all processes hard, and wait for that.

        Raises:
            OSError: They can't be ended, or the job is closed.
        """
        self.job.terminate(_ENDED_HARD)
        if not await self.wait_empty(_HARD_LIMIT):
            log.error("container %s: processes can't be ended", self.container_id)

    def _tell(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                with open_process(pid, PROCESS_ALL_ACCESS) as process:
                    # Its number may be another's by now.
                    if self.job.holds(process):
                        send_control(process, CTRL_SHUTDOWN)
            except OSError as error:
                # Most likely it has ended by itself.
                log.debug("process %d was not told to shut down: %s", pid, cause(error))

    def _heard(self, message: int, _pid: int) -> None:
        if message == ACTIVE_PROCESS_ZERO:
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:
                log.debug("the last process of %s ended after the shim's loop", self.container_id)
