"""What the command line asks for: Go's flags, then the action.

Theory of operation. `parse` turns a line into a `Command` and does nothing else: what must be said
to the caller it raises as `UsageError`. Checks come in the order that callers know: flags, then
help, then version and info (which need no namespace), then the namespace, then the rest.

Pure, and light: `start` runs it.
"""

from podshim.shim.goflags import FlagError, quoted, scan

MAX_IDENTIFIER = 76
#: No runtime options come near this.
MAX_OPTIONS = 10 << 20
_WORDS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_PATTERN = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"

START = "start"
DELETE = "delete"
SERVE = "serve"
VERSION = "version"
INFO = "info"
HELP = "help"

#: Name, whether it is a boolean, and what it means: the usage text in the order Go prints it.
FLAGS = (
    ("address", False, "grpc address back to main containerd"),
    ("bundle", False, "path to the bundle if not workdir"),
    ("debug", True, "enable debug output in logs"),
    ("debug-socket", False, "accepted for compatibility, not used"),
    ("id", False, "id of the task"),
    ("info", True, "get the option protobuf from stdin, print the shim info protobuf and exit"),
    ("namespace", False, "namespace that owns the shim"),
    ("publish-binary", False, "accepted for compatibility, not used"),
    ("ready-fd", False, "descriptor on which the server says that it serves"),
    ("socket", False, "socket path to serve; without it descriptor 3 is the listening socket"),
    ("v", True, "show the shim version and exit"),
    ("version", True, "show the shim version and exit"),
)
_BOOLEANS = {name: boolean for name, boolean, _ in FLAGS}


class UsageError(Exception):
    """The command line is wrong.

    Args:
        text: What to write on standard error.
        status: The exit status: 2 for flags that can't be read, 1 for values that can't be used.
    """

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Command:
    """What was asked. `action` is one of this module's constants; `debug` is the flag alone."""

    __slots__ = ("action", "address", "bundle", "debug", "id", "namespace", "ready_fd", "socket")

    def __init__(self, action: str) -> None:
        self.action = action
        self.namespace = ""
        self.id = ""
        self.address = ""
        self.bundle = ""
        self.socket = ""
        self.ready_fd = -1
        self.debug = False


def check_identifier(name: str, value: str) -> None:
    """Refuse what containerd refuses as a namespace, task or exec id.

    Args:
        name: What it identifies, for the error's text.
        value: The identifier.

    Raises:
        UsageError: It is empty, longer than 76 characters, or made of anything but words of
            ASCII letters and digits with single `.`, `_` or `-` between them.
    """
    if not value:
        raise UsageError(f"{name}: identifier must not be empty: invalid argument")
    if len(value) > MAX_IDENTIFIER:
        raise UsageError(
            f"{name}: identifier {quoted(value)} greater than maximum length "
            f"({MAX_IDENTIFIER} characters): invalid argument"
        )
    words = value.replace("_", ".").replace("-", ".").split(".")
    if not all(word and _WORDS.issuperset(word) for word in words):
        raise UsageError(
            f"{name}: identifier {quoted(value)} must match {_PATTERN}: invalid argument"
        )


def parse(arguments: "list[str]", program: str) -> Command:
    """Read a command line.

    Args:
        arguments: The words after the program's name.
        program: The program's name, for the usage text.

    Raises:
        UsageError: It can't be understood, or lacks what its action needs.
    """
    given, rest = _flags(arguments, program)
    action = _action(given, rest)
    command = Command(action)
    command.debug = given.get("debug") == "true"
    command.namespace = given.get("namespace", "")
    command.id = given.get("id", "")
    command.address = given.get("address", "")
    command.bundle = given.get("bundle", "")
    command.socket = given.get("socket", "")
    if action in {VERSION, INFO, HELP}:
        return command
    if not command.namespace:
        raise UsageError("shim namespace cannot be empty")
    check_identifier("namespace", command.namespace)
    if action not in {START, DELETE, SERVE}:
        raise UsageError(f"unknown action {quoted(action)}")
    check_identifier("id", command.id)
    if "ready-fd" in given:
        command.ready_fd = _descriptor(given["ready-fd"])
    return command


def usage(program: str) -> str:
    """The text that `-h` and a wrong flag print."""
    lines = [f"Usage of {program}:"]
    for name, boolean, meaning in FLAGS:
        lines.extend((f"  -{name}" if boolean else f"  -{name} string", f"    \t{meaning}"))
    return "\n".join(lines) + "\n"


def _action(given: "dict[str, str]", rest: "list[str]") -> str:
    if "help" in given:
        return HELP
    if given.get("v") == "true" or given.get("version") == "true":
        return VERSION
    if given.get("info") == "true":
        return INFO
    return rest[0] if rest else SERVE


def _flags(arguments: "list[str]", program: str) -> "tuple[dict[str, str], list[str]]":
    """Take the flags off the front; the values of booleans become `true` or `false`."""
    try:
        return scan(arguments, _BOOLEANS)
    except FlagError as error:
        raise UsageError(f"{error}\n{usage(program)}", 2) from None


def _descriptor(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 7):
        raise UsageError(f"-ready-fd: {quoted(value)} is not a descriptor")
    return int(value)
