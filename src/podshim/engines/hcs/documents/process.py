"""The parameters of a process in a container: its command, its user, its environment, its streams.

Theory of operation. A Windows process has one command line, not a list of words. Where a spec has
words, they are joined so that the usual rules of C programs take them apart again. A Linux process
in a utility VM keeps its words. Which of the streams exist is the shim's business: a stream that
nobody reads or writes is not made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import Json, present
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from podshim.engine import Stdio


def process_parameters(process: Mapping[str, object], stdio: Stdio, *, words: bool = False) -> Json:
    """The parameters of a process in a Windows container, or directly in a VM.

    Args:
        process: The OCI `process` object.
        stdio: Its streams: those that are named exist.
        words: Whether it is Linux' and keeps its words (in a VM, outside containers).

    Raises:
        InvalidArgumentError: A member of another type than OCI's.
    """
    spec = Member(process, document="process")
    args = list(spec["args"].texts())
    size = spec["consoleSize"]
    return present(
        {
            "CommandLine": "" if words else spec["commandLine"].text() or command_line(args),
            "CommandArgs": args if words else None,
            "User": spec["user"]["username"].text(),
            "WorkingDirectory": spec["cwd"].text(),
            "Environment": environment(spec["env"].texts()) or None,
            "EmulateConsole": spec["terminal"].flag(),
            **_pipes(stdio),
            "ConsoleSize": _size(size) if size.present else None,
        }
    )


def linux_process_parameters(process: Mapping[str, object] | None, stdio: Stdio) -> Json:
    """The parameters of a process in a Linux container.

    Args:
        process: The OCI `process` object; None for the init, which the container's spec has.
        stdio: Its streams: those that are named exist.
    """
    return present({**_pipes(stdio), "OciProcess": dict(process) if process is not None else None})


def command_line(args: Iterable[str]) -> str:
    """Words as one command line."""
    return " ".join(escaped(word) for word in args)


def escaped(word: str) -> str:
    """A word as C programs of Windows read it back from a command line.

    They take backslashes literally, unless a quote follows: then two stand for one, and one before
    the quote makes it literal. Space and tab end a word, except between quotes.
    """
    quote = '"' if not word or " " in word or "\t" in word else ""
    made = [quote]
    backslashes = 0
    for character in word:
        if character == "\\":
            backslashes += 1
        elif character == '"':
            made.append("\\" * (backslashes + 1))
            backslashes = 0
        else:
            backslashes = 0
        made.append(character)
    made.append("\\" * backslashes if quote else "")
    made.append(quote)
    return "".join(made)


def environment(entries: Iterable[str]) -> dict[str, str]:
    """Environment entries as an object, sorted by name.

    An entry without `=`, or with nothing after it, is none; of two with one name the last counts.
    """
    found = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        if value:
            found[name] = value
    return dict(sorted(found.items()))


def _pipes(stdio: Stdio) -> Json:
    return {
        "CreateStdInPipe": bool(stdio.stdin),
        "CreateStdOutPipe": bool(stdio.stdout),
        "CreateStdErrPipe": bool(stdio.stderr),
    }


def _size(size: Member) -> list[int]:
    return [size["height"].unsigned(31) or 0, size["width"].unsigned(31) or 0]
