r"""How a logging program is called: path, arguments, environment, names of its pipes. Pure.

The URI's path is cleaned as a path of Windows, whichever platform this runs on:

    binary:///D:/path/to/program?key=value&flag    ->  D:\path\to\program key value flag
"""

from __future__ import annotations

import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podshim.engines.hcs.stdio.kinds import query_pairs
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.engines.hcs.stdio.kinds import Url

_UNC = "\\\\"


@dataclass(frozen=True, slots=True)
class LoggerPipes:
    """The names of the pipes that a logging program reads from, and of the one that says ready."""

    stdout: str
    stderr: str
    wait: str

    @classmethod
    def of(cls, container_id: str, exec_id: str) -> LoggerPipes:
        """The names for a container's init, or with `exec_id` for a further process of it.

        Two processes never share names: `~` can't be part of an id.
        """
        owner = f"{container_id}~{exec_id}" if exec_id else container_id
        stem = rf"\\.\pipe\binary-{owner}"
        return cls(f"{stem}-stdout", f"{stem}-stderr", f"{stem}-wait")


def program_path(path: str) -> str:
    """The program that a URL's path names.

    Raises:
        ShimError: It names none, or one on another machine or among the devices.
    """
    if not path:
        raise ShimError("no logging driver path provided")
    clean = ntpath.normpath(path)
    if clean.startswith(_UNC) or "\0" in clean:
        raise ShimError("path is unsafe")
    if ":\\" in clean:
        clean = clean.removeprefix("\\")
    return clean


def command_line(url: Url) -> list[str]:
    """The program and its arguments: every key of the query, each before its first value.

    Raises:
        ShimError: The URL names no program that may be run, or words that none can be given.
    """
    words = [program_path(url.path)]
    for key, value in query_pairs(url.query):
        words += [key, value] if value else [key]
    if any("\0" in word for word in words):
        raise ShimError("an argument of the logging driver contains a NUL character")
    return words


def environment(
    container_id: str, namespace: str, pipes: LoggerPipes, system_root: str
) -> dict[str, str]:
    """All variables of the program; `system_root` is what no program of Windows can do without."""
    variables = {
        "CONTAINER_ID": container_id,
        "CONTAINER_NAMESPACE": namespace,
        "CONTAINER_STDOUT": pipes.stdout,
        "CONTAINER_STDERR": pipes.stderr,
        "CONTAINER_WAIT": pipes.wait,
    }
    if system_root:
        variables["SYSTEMROOT"] = system_root
    return variables
