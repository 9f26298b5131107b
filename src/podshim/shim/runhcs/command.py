"""What the command line of `containerd-shim-runhcs-v1` asks for.

Theory of operation. Microsoft's shim reads its arguments with a library for commands: global
flags, a command, the command's own flags. `parse` does the same and touches nothing: it returns a
`Command` to carry out, or raises an `Answer` that is all there is to say. Its checks come in the
order that callers know: flags that can't be read, help, version, then the four flags that every
command needs, then the command.

Ids and namespaces become names of pipes, so that a shim is started only for what containerd
allows. Pure, and light: `start` runs it.
"""

from podshim.shim.command import UsageError, check_identifier
from podshim.shim.goflags import TRUE, FlagError, scan
from podshim.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NAME = "containerd-shim-runhcs-v1"
#: The version of the OCI runtime specification whose documents are understood.
SPEC_VERSION = "1.2.1"

START = "start"
DELETE = "delete"
SERVE = "serve"
_HELP_COMMANDS = frozenset(("help", "h"))

#: Name, whether it is a boolean, and what it means.
_GLOBAL_FLAGS = (
    ("namespace", False, "containerd's namespace of the container"),
    ("address", False, "the address of containerd's main pipe"),
    ("publish-binary", False, "the path of containerd's binary"),
    ("id", False, "the container's id"),
    ("bundle", False, "the container's bundle folder (for delete)"),
    ("debug", True, "accepted; the runtime options say how much is logged"),
)
_HELP_FLAGS = (("help", "h", "show help"), ("version", "v", "print the version"))
_REQUIRED = ("namespace", "address", "publish-binary", "id")

_GLOBAL = {name: boolean for name, boolean, _ in _GLOBAL_FLAGS} | dict.fromkeys(
    ("help", "h", "version", "v"), True
)
_SERVE_FLAGS = (
    ("socket", False, "the pipe to serve on"),
    ("is-sandbox", True, "whether the id is a pod's, not a single container's"),
)
_HELP_ONLY = {"help": True, "h": True}
#: Each command's own flags.
_COMMANDS = {
    START: _HELP_ONLY,
    DELETE: _HELP_ONLY,
    SERVE: {name: boolean for name, boolean, _ in _SERVE_FLAGS} | _HELP_ONLY,
}
_ABOUT = {
    START: "Find or make the shim of the container whose bundle is the current folder; print its"
    " address",
    DELETE: "Remove what a dead shim left of a container; print how it ended",
    SERVE: "Be a shim; start runs it",
}


class Command:
    """A command to carry out: START, DELETE or SERVE, with the values of the flags."""

    __slots__ = (
        "action",
        "address",
        "bundle",
        "debug",
        "id",
        "is_sandbox",
        "namespace",
        "publish_binary",
        "socket",
    )

    def __init__(self, action: str) -> None:
        self.action = action
        self.namespace = ""
        self.address = ""
        self.publish_binary = ""
        self.id = ""
        self.bundle = ""
        self.debug = False
        self.socket = ""
        self.is_sandbox = False


class Answer(Exception):  # noqa: N818 - help is no error
    """All that there is to do: write these texts and exit.

    Args:
        out: For standard output.
        error: For standard error.
        status: The exit status.
    """

    def __init__(self, out: str = "", error: str = "", status: int = 0) -> None:
        super().__init__(error or out)
        self.out = out
        self.error = error
        self.status = status


def parse(arguments: "list[str]", program: str) -> Command:
    """Read a command line.

    Args:
        arguments: The words after the program's name.
        program: The program's file name, for the help.

    Raises:
        Answer: There is no command to carry out: help or the version is wanted, or it is wrong.
    """
    try:
        given, rest = scan(arguments, _GLOBAL)
    except FlagError as error:
        raise Answer(f"Incorrect Usage. {error}\n\n{usage(program)}", f"{error}\n", 1) from None
    if TRUE in {given.get("help"), given.get("h")}:
        raise Answer(usage(program))
    if TRUE in {given.get("version"), given.get("v")}:
        raise Answer(version())
    for name in _REQUIRED:
        if not given.get(name):
            raise Answer(error=f"{name} is required\n", status=1)
    action = rest.pop(0) if rest else ""
    if not action:
        raise Answer(usage(program))
    if action in _HELP_COMMANDS:
        _help(rest, program)
    if action not in _COMMANDS:
        raise Answer(error=_no_topic(action), status=3)
    return _command(action, given, _own_flags(action, rest, program))


def _own_flags(action: str, rest: "list[str]", program: str) -> "dict[str, str]":
    """The flags behind a command; further words mean nothing."""
    try:
        own, _ = scan(rest, _COMMANDS[action])
    except FlagError as error:
        text = command_usage(action, program)
        raise Answer(f"Incorrect Usage: {error}\n\n{text}", f"{error}\n", 1) from None
    if TRUE in {own.get("help"), own.get("h")}:
        raise Answer(command_usage(action, program))
    return own


def _command(action: str, given: "dict[str, str]", own: "dict[str, str]") -> Command:
    command = Command(action)
    command.namespace = given["namespace"]
    command.address = given["address"]
    command.publish_binary = given["publish-binary"]
    command.id = given["id"]
    command.bundle = given.get("bundle", "")
    command.debug = given.get("debug") == TRUE
    command.socket = own.get("socket", "")
    command.is_sandbox = own.get("is-sandbox") == TRUE
    if action == DELETE:  # what could be made can be deleted, however it is called
        return command
    try:
        check_identifier("namespace", command.namespace)
        check_identifier("id", command.id)
    except UsageError as error:
        raise Answer(error=f"{error}\n", status=error.status) from None
    return command


def _help(rest: "list[str]", program: str) -> "NoReturn":
    topic = rest[0] if rest else ""
    if topic in _COMMANDS:
        raise Answer(command_usage(topic, program))
    if topic and topic not in _HELP_COMMANDS:
        raise Answer(error=_no_topic(topic), status=3)
    raise Answer(usage(program))


def _no_topic(word: str) -> str:
    return f"No help topic for '{word}'\n"


def version() -> str:
    """What `--version` prints."""
    return f"{NAME} version {VERSION}\nspec: {SPEC_VERSION}\n"


def usage(program: str) -> str:
    """What `--help` prints.

    Args:
        program: The program's file name.
    """
    commands = [(START, _ABOUT[START]), (DELETE, _ABOUT[DELETE])]
    commands.append(("help, h", "Show a list of commands, or the help of one"))
    flags = [
        (f"--{name}" if boolean else f"--{name} value", meaning)
        for name, boolean, meaning in _GLOBAL_FLAGS
    ]
    flags += [(f"--{long}, -{short}", meaning) for long, short, meaning in _HELP_FLAGS]
    return (
        f"NAME:\n   {NAME} - containerd's shim for Windows containers\n\n"
        f"USAGE:\n   {program} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n   {VERSION}\n   spec: {SPEC_VERSION}\n\n"
        f"COMMANDS:\n{_table(commands)}\n"
        f"GLOBAL OPTIONS:\n{_table(flags)}"
    )


def command_usage(action: str, program: str) -> str:
    """What the help of a command prints.

    Args:
        action: START, DELETE or SERVE.
        program: The program's file name.
    """
    flags = _SERVE_FLAGS if action == SERVE else ()
    options = "[command options] " if flags else ""
    text = (
        f"NAME:\n   {program} {action} - {_ABOUT[action]}\n\n"
        f"USAGE:\n   {program} {action} {options}[arguments...]\n"
    )
    if flags:
        rows = [(f"--{name}" if boolean else f"--{name} value", m) for name, boolean, m in flags]
        text += f"\nOPTIONS:\n{_table(rows)}"
    return text


def _table(rows: "list[tuple[str, str]]") -> str:
    width = max(len(left) for left, _ in rows)
    return "".join(f"   {left:<{width}}  {right}\n" for left, right in rows)
