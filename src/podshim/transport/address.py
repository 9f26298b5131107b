"""Addresses of shims and of containerd, as text and as what a socket takes; pure and light.

Theory of operation. A shim prints its address as `unix://<path>`. Shims from before 2020 printed
a bare name, and a client still takes text without `://` for the name of an abstract socket
(containerd's shim contract). containerd's own endpoint, however, comes in the environment as a
bare *path*. The text alone does not tell which, so there are two functions: `parse` for what a
shim says, `parse_endpoint` for what containerd says of itself.
"""

UNIX = "unix://"

#: The most bytes in the kernel's `sun_path`: 108, less the terminating or the leading NUL.
MAX_LENGTH = 107


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
