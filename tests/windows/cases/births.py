"""Programs that Wine loses at their birth are started again.

One in some ten thousand processes ends before it has begun, for a reason of Wine's own, and its
creator is told ERROR_INTERNAL_ERROR. Windows has no such error here, so a test must not fail of it.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any  # what CreateProcess takes is handed on

ERROR_INTERNAL_ERROR = 1359
ATTEMPTS = 5

if sys.platform == "win32":
    import _winapi

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

        _winapi.CreateProcess = stubborn
        try:
            yield
        finally:
            _winapi.CreateProcess = create
else:
    again = contextlib.nullcontext
