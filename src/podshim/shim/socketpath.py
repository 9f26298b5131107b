"""Where a group's shim listens: containerd's socket name rule, pure.

Theory of operation. Go's shims hash `path.Join(grpc address, namespace, group)` and listen at
`<socket dir>/<64 hex digits>`, so that every `start` of a group finds the same name without
asking anyone. podshim follows the rule, with one exception. `path.Join` also *cleans* the path,
so that a group value of `../k8s.io/<pod>` would land on another namespace's pod. A value that is
not one plain path element is therefore appended behind `//`, which no cleaned path contains:
no such value can meet another namespace, or any plain one.

Free of heavy imports: `start` runs it.
"""

SCHEME = "unix://"
DEFAULT_DIR = "/run/containerd/s"
_HEX = frozenset("0123456789abcdef")
_DIGITS = 64

#: With `/` and 64 digits it fills a Unix socket's 107 bytes.
MAX_DIR = 42


class SocketDirError(ValueError):
    """The path can't be that of a socket directory."""


def clean(path: bytes) -> bytes:
    """The shortest equal path, by text alone: Go's `path.Clean`."""
    rooted = path.startswith(b"/")
    kept: list[bytes] = []
    for element in path.split(b"/"):
        if element in {b"", b"."}:
            continue
        if element != b"..":
            kept.append(element)
        elif kept and kept[-1] != b"..":
            kept.pop()
        elif not rooted:
            kept.append(element)
    cleaned = b"/".join(kept)
    return b"/" + cleaned if rooted else cleaned or b"."


def join(*elements: bytes) -> bytes:
    """Join what is not empty with slashes and clean the result: Go's `path.Join`."""
    present = [element for element in elements if element]
    return clean(b"/".join(present)) if present else b""


def socket_name(grpc_address: str, namespace: str, group: str) -> str:
    """The file name of a group's socket.

    Args:
        grpc_address: containerd's address, exactly as it was given to the shim.
        namespace: A valid identifier.
        group: Any text.

    Returns:
        64 hexadecimal digits.
    """
    prefix = grpc_address.encode("utf-8", "surrogateescape"), namespace.encode()
    value = group.encode("utf-8", "surrogatepass")
    if value in {b"", b".", b".."} or b"/" in value:
        key = join(*prefix) + b"//" + value
    else:
        key = join(*prefix, value)
    return _sha256(key)


def _sha256(data: bytes) -> str:
    try:  # 2 ms less than hashlib, which loads OpenSSL
        from _sha2 import sha256  # type: ignore[import-not-found]  # not in typeshed
    except ImportError:  # Python 3.11 has it elsewhere, a FIPS build nowhere
        try:
            from _sha256 import sha256  # type: ignore[import-not-found]  # likewise
        except ImportError:
            from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest


def split(address: str) -> tuple[str, str] | None:
    """Where a socket is that podshim or Go's shims made.

    Args:
        address: Such as a bundle's `address` file holds.

    Returns:
        The folder and the file's name, or None for an address of any other form.
    """
    folder, _, name = address.removeprefix(SCHEME).rpartition("/")
    if not address.startswith(SCHEME) or len(name) != _DIGITS or not _HEX.issuperset(name):
        return None
    try:
        return check_dir(folder), name
    except ValueError:
        return None


def check_dir(path: str) -> str:
    """Check a socket directory's path, and only the path.

    Args:
        path: As containerd gave it.

    Returns:
        The path without trailing slashes and other detours.

    Raises:
        SocketDirError: It is relative, too long or no path at all.
    """
    if not path.startswith("/"):
        raise SocketDirError(f'socket_dir must be an absolute path: "{path}"')
    if "\0" in path:
        raise SocketDirError("socket_dir must not contain a NUL byte")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_DIR:
        raise SocketDirError(f"socket_dir length must be no longer than {MAX_DIR} characters")
    if ".." in path.split("/"):
        raise SocketDirError(f'socket_dir must not contain "..": "{path}"')
    return clean(path.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
