"""Programs that Wine loses at their birth are started again.

One in some ten thousand processes ends before it has begun, for a reason of Wine's own, and its
creator is told ERROR_INTERNAL_ERROR. Windows has no such error here, so a test must not fail of it.
If it is lost a little later, or its launcher loses it, it ends with 1 and has said nothing; a shim
that fails says why, so a command of one that did not is run again too.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any  # what CreateProcess takes is handed on
from unittest import mock

ERROR_INTERNAL_ERROR = 1359
ATTEMPTS = 5

if sys.platform == "win32":
    import _winapi

    from podshim.manager import shim
    from podshim.manager.finished import Finished
    from podshim.manager.platform import run

    @contextlib.contextmanager
    def again() -> Iterator[None]:
        """Let `subprocess` try again where Wine has lost a process, for a `with` block."""
        create = _winapi.CreateProcess

        def stubborn(*words: Any) -> tuple[int, int, int, int]:
            for _ in range(ATTEMPTS - 1):
                try:
                    return create(*words)
                except OSError as error:
                    if error.winerror != ERROR_INTERNAL_ERROR:
                        raise
            return create(*words)

        async def run_again(*words: Any, **options: Any) -> Finished:
            for _ in range(ATTEMPTS - 1):
                done = await run(*words, **options)
                if (done.status, done.stdout, done.stderr) != (1, b"", b""):
                    return done
            return await run(*words, **options)

        _winapi.CreateProcess = stubborn
        try:
            with mock.patch.object(shim, "run", run_again):
                yield
        finally:
            _winapi.CreateProcess = create
else:
    again = contextlib.nullcontext
