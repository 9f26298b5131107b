"""What all processes of one HostProcess container have in common, and how one is prepared.

The first process decides whom all of them run as.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from podshim.engines.hcs.hostprocess.application import EXTENSION, find_application, search_path
from podshim.engines.hcs.hostprocess.environment import environment, value_of
from podshim.engines.hcs.hostprocess.identity import acquire
from podshim.engines.hcs.hostprocess.rootfs import make_folder
from podshim.engines.hcs.hostprocess.shortcomings import cause
from podshim.win32 import searching
from podshim.win32.creation import NewProcess
from podshim.win32.tokens import environment_of

if TYPE_CHECKING:
    from podshim.engines.hcs.hostprocess.identity import Identity
    from podshim.engines.hcs.hostprocess.job import HostJob
    from podshim.engines.hcs.hostprocess.location import Location
    from podshim.engines.hcs.hostprocess.parameters import Parameters
    from podshim.engines.hcs.hostprocess.streams import ProcessStreams
    from podshim.win32.handles import Handle

log = logging.getLogger(__name__)


class Launcher:
    """Prepares the processes of one container.

    Args:
        namespace: containerd's namespace.
        job: Its job.
        location: Where its files are.
        build: The build of Windows.
        inherit_user: Whether its processes run as we do.
    """

    def __init__(
        self,
        namespace: str,
        job: HostJob,
        location: Location,
        *,
        build: int,
        inherit_user: bool,
    ) -> None:
        self._namespace = namespace
        self._job = job
        self._location = location
        self.build = build
        self._inherit_user = inherit_user
        self._identity: Identity | None = None
        self._deciding = asyncio.Lock()
        #: When the first process was started, in ns since the epoch; 0 if none was.
        self.started = 0

    async def prepare(self, parameters: Parameters) -> NewProcess:
        """Settle everything about a process but its streams.

        Raises:
            ShimError: There is no such user, or no such program.
            OSError: Its folder can't be made, or the system refuses something.
        """
        async with self._deciding:
            if self._identity is None:
                self._identity = await asyncio.to_thread(
                    partial(
                        acquire,
                        self._namespace,
                        self._job.container_id,
                        parameters.user,
                        inherit=self._inherit_user,
                    )
                )
                self.started = time.time_ns()
        return await asyncio.to_thread(self._settle, parameters, self._identity.token)

    @staticmethod
    def with_streams(new: NewProcess, streams: ProcessStreams) -> NewProcess:
        """A process with its ends of its streams."""
        return replace(
            new,
            stdin=streams.child.get("stdin"),
            stdout=streams.child.get("stdout"),
            stderr=streams.child.get("stderr"),
            console=0 if streams.console is None else streams.console.value,
        )

    async def give_up(self) -> None:
        """End the container whose init could not be started; failures are logged."""
        try:
            if self._job.job.pids():
                await self._job.terminate()
        except OSError as error:
            log.warning("container %s: %s", self._job.container_id, cause(error))

    async def close(self) -> None:
        """Give back the identity; any number of times.

        Raises:
            OSError: Its account could not be deleted.
        """
        if self._identity is not None:
            await asyncio.to_thread(self._identity.close)

    def _settle(self, parameters: Parameters, token: Handle) -> NewProcess:
        location = self._location
        folder = location.working_directory(parameters.folder)
        make_folder(location.on_host(folder))
        variables = environment(
            environment_of(token),
            parameters.environment,
            location,
            os.environ.get("SYSTEMROOT", ""),
        )
        line = location.substituted(parameters.command_line)
        if location.bound:
            # What the silo alone can see, only a process in it can find.
            line = f"cmd /c {line}"
        places = search_path(
            folder,
            value_of(variables, "PATH"),
            searching.system_folder(),
            searching.windows_folder(),
        )
        application, line = find_application(line, partial(_find, places), parameters.command_line)
        return NewProcess(
            application=application,
            command_line=line,
            environment=variables,
            folder=folder,
            token=token,
            job=self._job.job.handle,
        )


def _find(places: str, name: str) -> str | None:
    found = searching.search(places, name, EXTENSION)
    return found if found is not None and not os.path.isdir(found) else None
