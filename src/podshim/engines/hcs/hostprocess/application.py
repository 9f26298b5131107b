r"""Which program a command line means. Pure, given something that looks for files.

Theory of operation. A quoted first word is the program. Without quotes, a path with spaces can't be
told from a program and its arguments, so as Windows does, ever longer beginnings are tried: of
`C:\Program Files\x.exe -a` first `C:\Program`, then `C:\Program Files\x.exe`. What was found with
spaces in it is quoted, so that the program itself reads the line as it was meant.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from podshim.errors import ShimError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The extension that a program's file may have unsaid.
EXTENSION: Final = ".exe"
_SPACES: Final = " \t\n\r\f\v"
_WORD: Final = re.compile(r'[^\s"]+|"[^"]*"', re.ASCII)


def find_application(
    line: str, find: Callable[[str], str | None], asked: str | None = None
) -> tuple[str, str]:
    """Find the program of a command line.

    Args:
        line: The command line.
        find: Looks for a program's file along the search path; None if there is none.
        asked: What was asked for, for errors, if `line` was made of it.

    Returns:
        The file's path, and the command line to run it with.

    Raises:
        ShimError: It names no program that there is.
    """
    try:
        return (
            _quoted(line, find) if line.lstrip(_SPACES).startswith('"') else _unquoted(line, find)
        )
    except ShimError as error:
        told = _told(line if asked is None else asked)
        raise ShimError(
            f"failed to get application name from commandline {told}: {error}"
        ) from error


def search_path(folder: str, path: str, system: str, windows: str) -> str:
    """Where programs are looked for, in order.

    Args:
        folder: Where the process starts.
        path: Its `Path` variable.
        system: Windows' system folder.
        windows: Windows' folder.
    """
    places: Sequence[str] = (folder, path, system, f"{windows}\\System", windows)
    return ";".join(place for place in places if place)


def _quoted(line: str, find: Callable[[str], str | None]) -> tuple[str, str]:
    name, end, _ = line.lstrip(_SPACES)[1:].partition('"')
    if not end:
        raise ShimError("no ending quotation mark found in command")
    found = find(name) if name else None
    if found is None:
        raise _missing(line)
    return found, line


def _unquoted(line: str, find: Callable[[str], str | None]) -> tuple[str, str]:
    start = len(line) - len(line.lstrip(_SPACES))
    for number, word in enumerate(_WORD.finditer(line)):
        name, rest = line[start : word.end()], line[word.end() :]
        if '"' in name:
            break  # no file has quotes in its name
        found = find(name)
        if found is not None:
            return found, line if number == 0 else f'"{name}"{rest}'
    raise _missing(line)


def _missing(line: str) -> ShimError:
    return ShimError(f"failed to find executable {_told(line)}")


def _told(line: str) -> str:
    """A command line as errors tell it: in quotes, those in it and backslashes escaped."""
    return json.dumps(line, ensure_ascii=False)
