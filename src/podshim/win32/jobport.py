"""Messages of a job object: a completion port, and the thread that reads it.

Theory of operation. The system queues a message at the port when a process joins or leaves the job,
and when the last one has left. Nothing else than a blocking call takes them out, so a thread of its
own does, and hands each on. Messages are hints: the system may drop them when memory is short, but
for the one that no process is left.
"""

from __future__ import annotations

import threading
from ctypes import POINTER, byref, c_size_t, c_void_p
from ctypes.wintypes import BOOL, DWORD, HANDLE
from typing import TYPE_CHECKING, Final

from podshim.win32.binding import Library, check
from podshim.win32.handles import INVALID_HANDLE_VALUE, Handle

if TYPE_CHECKING:
    from collections.abc import Callable

    from podshim.win32.jobs import Job

ACTIVE_PROCESS_ZERO: Final = 4
NEW_PROCESS: Final = 6
EXIT_PROCESS: Final = 7
ABNORMAL_EXIT_PROCESS: Final = 8

_MESSAGES: Final = 1
_QUIT: Final = 2
_FOREVER: Final = 0xFFFFFFFF

_kernel32 = Library("kernel32.dll")
_create_port = _kernel32.function("CreateIoCompletionPort", HANDLE, HANDLE, HANDLE, c_size_t, DWORD)
_take = _kernel32.function(
    "GetQueuedCompletionStatus",
    BOOL,
    HANDLE,
    POINTER(DWORD),
    POINTER(c_size_t),
    POINTER(c_void_p),
    DWORD,
)
_post = _kernel32.function("PostQueuedCompletionStatus", BOOL, HANDLE, DWORD, c_size_t, c_void_p)


class JobPort:
    """Hears what happens in a job.

    Args:
        job: The job, which has no port yet.
        tell: Called with a message and a process id, in a thread; it must not block.

    Raises:
        OSError: There can be none.
    """

    def __init__(self, job: Job, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        what = f"port of {job.name}"
        value = _create_port(INVALID_HANDLE_VALUE, None, 0, 1)
        check(value, what)
        self._port = Handle(value, what)
        try:
            job.notify(self._port, _MESSAGES)
            self._thread = threading.Thread(target=self._run, name=what, daemon=True)
            self._thread.start()
        except BaseException:
            self._port.close()
            raise

    def close(self) -> None:
        """End the thread, after the message that it is handing on; any number of times.

        Raises:
            OSError: It can't be told to; port and thread stay.
        """
        if self._port.closed:
            return
        check(_post(self._port.value, 0, _QUIT, None), self._port.what)
        self._thread.join()
        self._port.close()

    def _run(self) -> None:
        message, key, about = DWORD(), c_size_t(), c_void_p()
        while True:
            taken = _take(self._port.value, byref(message), byref(key), byref(about), _FOREVER)
            if not taken or key.value == _QUIT:
                return
            self._tell(message.value, about.value or 0)
