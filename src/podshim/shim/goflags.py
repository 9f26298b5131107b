"""Command lines as Go's `flag` package reads them: containerd calls every shim that way.

Theory of operation. One dash or two, `-name value` or `-name=value`, booleans never with a separate
value; the first word that is no flag (or `--`) ends them, and the last of several values counts.

Pure, and free of imports: `start` runs it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HELP = "help"
TRUE = "true"
FALSE = "false"

_HELP_WORDS = frozenset(("h", "help"))
_TRUTHS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), TRUE) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), FALSE
)


class FlagError(ValueError):
    """The flags can't be read; the text is Go's."""


def scan(
    arguments: "list[str]", booleans: "Mapping[str, bool]"
) -> "tuple[dict[str, str], list[str]]":
    """Take the flags off the front of a command line.

    Args:
        arguments: The words after the program's or the command's name.
        booleans: Each known flag's name, and whether it is a boolean. A program that does not name
            `h` and `help` is asked for help by either, and nothing behind it is read.

    Returns:
        The flags with their values, `TRUE` or `FALSE` for booleans, and the words behind them.

    Raises:
        FlagError: A word is no flag, an unknown one, or lacks its value.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest and len(rest[0]) > 1 and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}")
        if name not in booleans:
            if name in _HELP_WORDS:
                given[HELP] = TRUE
                break
            raise FlagError(f"flag provided but not defined: -{name}")
        if booleans[name]:
            if equals and value not in _TRUTHS:
                raise FlagError(f"invalid boolean value {quoted(value)} for -{name}: parse error")
            value = _TRUTHS[value] if equals else TRUE
        elif not equals:
            if not rest:
                raise FlagError(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        given[name] = value
    return given, rest


def quoted(value: str) -> str:
    """A value for an error's text: shown safely, and never longer than a line."""
    shown = value if len(value) <= 256 else value[:256] + "..."
    return '"' + shown.encode("unicode_escape").decode().replace('"', '\\"') + '"'
