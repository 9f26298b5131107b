"""Addresses of shims and of containerd, as text and as what a carrier takes; pure and light.

Theory of operation. A shim prints its address as `unix://<path>`. Shims from before 2020 printed
a bare name, and a client still takes text without `://` for the name of an abstract socket
(containerd's shim contract). containerd's own endpoint, however, comes in the environment as a
bare *path*. The text alone does not tell which, so there are two functions: `parse` for what a
shim says, `parse_endpoint` for what containerd says of itself.

On Windows both speak of named pipes: shims print the pipe's path, and containerd's endpoint is that
or an `npipe://` URL of it, with either kind of slash. `parse_pipe` takes all of these.
"""

UNIX = "unix://"
NPIPE = "npipe://"
#: What a pipe's path begins with.
PIPE = "\\\\.\\pipe\\"

#: The most bytes in the kernel's `sun_path`: 108, less the terminating or the leading NUL.
MAX_LENGTH = 107


#: The most UTF-16 units in any path of Windows. (Pipes are documented to have 256 at most; if that
#: is so, Windows says it.)
MAX_PIPE_LENGTH = 32_766


class AddressError(ValueError):
    """The text is no address, or one of a kind that can't be reached from here."""


class UnixAddress:
    """The address of a Unix socket.

    Args:
        name: The path of its file, or its name in the abstract namespace.
        abstract: Which of the two.

    Raises:
        AddressError: It is empty, contains a NUL byte or is too long for the kernel.
    """

    __slots__ = ("abstract", "name")

    def __init__(self, name: str, *, abstract: bool = False) -> None:
        if not name:
            raise AddressError("the address is empty")
        if "\0" in name:
            raise AddressError(f"an address must not contain a NUL byte: {name!r}")
        if len(name.encode("utf-8", "surrogateescape")) > MAX_LENGTH:
            raise AddressError(f'"{name}": unix socket path too long (> {MAX_LENGTH})')
        self.name = name
        self.abstract = abstract

    def __str__(self) -> str:
        return self.name if self.abstract else UNIX + self.name

    def __repr__(self) -> str:
        return f"UnixAddress({self.name!r}, abstract={self.abstract})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UnixAddress)
            and self.name == other.name
            and self.abstract == other.abstract
        )

    def __hash__(self) -> int:
        return hash((self.name, self.abstract))

    @property
    def sockaddr(self) -> str:
        """What `socket.connect` takes."""
        return "\0" + self.name if self.abstract else self.name


class PipeAddress:
    r"""The address of a named pipe of this machine.

    Args:
        path: `\\.\pipe\<name>`, with either kind of slash; the name may contain backslashes.

    Raises:
        AddressError: It is no such path, or one that Windows would change or can't open.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        plain = path.replace("/", "\\")
        begin, name = plain[: len(PIPE)].lower(), plain[len(PIPE) :]
        if begin not in {PIPE, "\\\\?\\pipe\\"} or not name:
            raise AddressError(f"not the path of a named pipe of this machine: {path!r}")
        if "\0" in name:
            raise AddressError(f"an address must not contain a NUL byte: {path!r}")
        if any(part in {"", ".", ".."} for part in name.split("\\")):
            raise AddressError(f"the path of a named pipe is not plain: {path!r}")
        self.path = PIPE + name
        if len(self.path.encode("utf-16-le", "surrogatepass")) // 2 > MAX_PIPE_LENGTH:
            raise AddressError(f'"{path}": pipe path too long (> {MAX_PIPE_LENGTH})')

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"PipeAddress({self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PipeAddress) and self.path.lower() == other.path.lower()

    def __hash__(self) -> int:
        return hash(self.path.lower())


def parse_pipe(text: str) -> PipeAddress:
    """Parse the address of a shim or of containerd on Windows.

    Args:
        text: A pipe's path, or `npipe://` and a pipe's path.

    Raises:
        AddressError: The text has another scheme, or is no pipe's path.
    """
    if text.startswith(NPIPE):
        return PipeAddress(text.removeprefix(NPIPE))
    if "://" in text:
        raise AddressError(f"unsupported address scheme: {text!r}")
    return PipeAddress(text)


def parse(text: str) -> UnixAddress:
    """Parse the address of a shim.

    Args:
        text: `unix://<path>`, or the bare name of an abstract socket.

    Raises:
        AddressError: The text has another scheme, or no socket can have that address.
    """
    return _parse(text, abstract=True)


def parse_endpoint(text: str) -> UnixAddress:
    """Parse the address of containerd, as `TTRPC_ADDRESS` or `-address` give it.

    Args:
        text: A bare path, or `unix://<path>`.

    Raises:
        AddressError: As `parse`.
    """
    return _parse(text, abstract=False)


def _parse(text: str, *, abstract: bool) -> UnixAddress:
    if text.startswith(UNIX):
        return UnixAddress(text.removeprefix(UNIX))
    if "://" in text:
        raise AddressError(f"unsupported address scheme: {text!r}")
    return UnixAddress(text, abstract=abstract)
