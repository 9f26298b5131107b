"""What a HostProcess container's process is asked to be: an OCI process, checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.documents import process as documents
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A console's size where the spec says none.
_WIDTH: Final = 80
_HEIGHT: Final = 25
_MOST: Final = 32767


@dataclass(frozen=True, slots=True)
class Parameters:
    """A process to be.

    Args:
        command_line: Program and arguments.
        user: Whom it wants to run as.
        folder: Where it wants to start; empty for the root file system's place.
        environment: Its own variables.
        terminal: Whether it gets a console.
        width: Of a console, in characters.
        height: Of a console, in lines.
    """

    command_line: str
    user: str
    folder: str
    environment: Mapping[str, str]
    terminal: bool = False
    width: int = _WIDTH
    height: int = _HEIGHT


def parameters_of(process: Mapping[str, object]) -> Parameters:
    """Read an OCI process.

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    spec = Member(process, document="process")
    size = spec["consoleSize"]
    return Parameters(
        command_line=spec["commandLine"].text() or documents.command_line(spec["args"].texts()),
        user=spec["user"]["username"].text(),
        folder=spec["cwd"].text(),
        environment=documents.environment(spec["env"].texts()),
        terminal=spec["terminal"].flag(),
        width=min(size["width"].unsigned(32) or _WIDTH, _MOST),
        height=min(size["height"].unsigned(32) or _HEIGHT, _MOST),
    )
