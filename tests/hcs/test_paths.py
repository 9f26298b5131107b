"""Final paths of mounts' sources."""

from typing import Any, Self

import pytest

from podshim.engines.hcs.paths import resolve
from podshim.errors import ShimError
from podshim.win32.binding import failure

GUID_NORMAL, DOS_NORMAL, GUID_OPENED, DOS_OPENED = 1, 0, 9, 8


class Opened:
    def __init__(self) -> None:
        self.closed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed += 1


class Files:
    """Answers by flags; a number is a Win32 error."""

    def __init__(self, answers: dict[int, str | int], open_error: int = 0) -> None:
        self.answers = answers
        self.open_error = open_error
        self.asked: list[int] = []
        self.handle = Opened()

    def open_without_access(self, path: str) -> Any:
        if self.open_error:
            raise failure(self.open_error, path)
        return self.handle

    def final_path(self, handle: Any, flags: int) -> str:
        self.asked.append(flags)
        answer = self.answers[flags]
        if isinstance(answer, int):
            raise failure(answer, "path")
        return answer


@pytest.mark.parametrize(
    ("answers", "asked", "found"),
    [
        ({GUID_NORMAL: "\\\\?\\Volume{a}\\x"}, [1], "\\\\?\\Volume{a}\\x"),
        ({GUID_NORMAL: 3, DOS_NORMAL: "\\\\?\\UNC\\s\\x"}, [1, 0], "\\\\s\\x"),
        ({GUID_NORMAL: 3, DOS_NORMAL: "\\\\?\\C:\\x"}, [1, 0], "\\\\?\\C:\\x"),
        ({GUID_NORMAL: 5, GUID_OPENED: "\\\\?\\Volume{a}\\X"}, [1, 9], "\\\\?\\Volume{a}\\X"),
        ({GUID_NORMAL: 5, GUID_OPENED: 3, DOS_OPENED: "\\\\?\\UNC\\s"}, [1, 9, 8], "\\\\s"),
        ({GUID_NORMAL: 3, DOS_NORMAL: 5, DOS_OPENED: "C:\\x"}, [1, 0, 8], "C:\\x"),
    ],
)
def test_names_that_are_asked_for(answers: Any, asked: list[int], found: str) -> None:
    files = Files(answers)
    assert resolve("C:\\x", files) == found
    assert files.asked == asked
    assert files.handle.closed == 1


@pytest.mark.parametrize("answers", [{1: 3, 0: 3}, {1: 5, 9: 5}, {1: 3, 0: 5, 8: 5}, {1: 87}])
def test_without_a_name_it_fails(answers: Any) -> None:
    files = Files(answers)
    with pytest.raises(ShimError, match=r"^GetFinalPathNameByHandle C:\\x: "):
        resolve("C:\\x", files)
    assert files.asked == list(answers)
    assert files.handle.closed == 1


def test_what_is_not_there_fails() -> None:
    with pytest.raises(ShimError, match=r"^CreateFile C:\\x: "):
        resolve("C:\\x", Files({}, open_error=2))
