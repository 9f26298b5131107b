"""The folder that containerd hands a shim for each container, and the files that podshim adds.

containerd writes `config.json`, `rootfs/`, `log` (a fifo) and more; podshim adds
`address`, `shim.pid`, `panic.log` and `exit.json`, and an engine its own. Files are written
beside their name and renamed, so that a reader never sees half of one, and are for root alone
unless the contract says otherwise.

The `start` command imports this module: it stays free of heavy imports (json only when used).
"""

import os
import time

CONFIG = "config.json"
ADDRESS = "address"
SHIM_PID = "shim.pid"
PANIC_LOG = "panic.log"
LOG_FIFO = "log"
EXIT_RECORD = "exit.json"
ROOTFS = "rootfs"

#: No spec that containerd writes comes near this; a larger file is refused, not read.
MAX_CONFIG_SIZE = 64 << 20

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NOINHERIT", "O_BINARY"):  # what this system has
    _NEW_FILE |= getattr(os, _name, 0)
#: For how long a file that somebody has open may keep Windows from replacing it, in s.
_REPLACE_TIMEOUT = 1.0
_PAUSE = 0.01


class BundleError(Exception):
    """A file of the bundle is missing, unreadable or not what it must be."""


class ExitRecord:
    """What `exit.json` keeps of an init's end, so that `delete` can tell the true status.

    Args:
        pid: The init's process id.
        status: Its exit status.
        at: When it ended, in ns since the epoch.
        deleted: Whether the shim has removed the container already.
    """

    __slots__ = ("at", "deleted", "pid", "status")

    def __init__(self, pid: int, status: int, at: int, *, deleted: bool = False) -> None:
        self.pid = pid
        self.status = status
        self.at = at
        self.deleted = deleted


class Bundle:
    """One bundle folder.

    Args:
        path: The folder; it is made absolute, but not resolved.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def __repr__(self) -> str:
        return f"Bundle({self.path!r})"

    @property
    def rootfs(self) -> str:
        """Where the root file system is mounted."""
        return self.file(ROOTFS)

    def file(self, name: str) -> str:
        """The path of a file in the bundle."""
        return os.path.join(self.path, name)

    def read(self, name: str, limit: int) -> bytes:
        """Read a whole file.

        Args:
            name: The file's name in the bundle.
            limit: The most bytes it may have.

        Raises:
            OSError: It can't be read.
            BundleError: It is larger than `limit`.
        """
        with open(self.file(name), "rb", buffering=0) as file:
            parts = []
            room = limit + 1
            while room > 0 and (part := file.read(min(room, 1 << 20))):
                parts.append(part)
                room -= len(part)
        if room <= 0:
            raise BundleError(f"{self.file(name)}: larger than {limit} bytes")
        return b"".join(parts)

    def write(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Write a file so that a reader sees the old content or the new, never a part.

        Args:
            name: The file's name in the bundle.
            content: All of it.
            mode: Its permissions, whatever the umask says.

        Raises:
            OSError: It can't be written; nothing is left behind.
        """
        path = self.file(name)
        temporary = self.file(f".{name}.{os.getpid()}")
        fd = os.open(temporary, _NEW_FILE, mode)
        try:
            try:
                if hasattr(os, "fchmod"):
                    os.fchmod(fd, mode)
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            _replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def config(self) -> dict[str, object]:
        """Read `config.json`, the OCI spec.

        Raises:
            BundleError: It is missing, too large, or not a JSON object.
        """
        import json

        path = self.file(CONFIG)
        try:
            spec = json.loads(self.read(CONFIG, MAX_CONFIG_SIZE))
        except OSError as error:
            raise BundleError(f"open {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{path} is not valid JSON: {error}") from error
        if not isinstance(spec, dict):
            raise BundleError(f"{path} is not a JSON object")
        return spec

    def annotations(self) -> dict[str, str]:
        """Read the annotations of `config.json`; none or null is an empty map.

        Raises:
            BundleError: As `config`, or the annotations are not a map of strings.
        """
        annotations = self.config().get("annotations")
        if annotations is None:
            return {}
        if not isinstance(annotations, dict) or not all(
            isinstance(value, str) for value in annotations.values()
        ):
            raise BundleError(f"{self.file(CONFIG)}: annotations is not a map of strings")
        return annotations

    def write_exit(self, record: ExitRecord) -> None:
        """Keep how the init ended.

        Raises:
            OSError: It can't be written.
        """
        import json

        fields = {name: getattr(record, name) for name in ExitRecord.__slots__}
        self.write(EXIT_RECORD, json.dumps(fields).encode())

    def read_exit(self) -> "ExitRecord | None":
        """How the init ended, or None while nobody has written it down (or not as we write it)."""
        import json

        try:
            fields = json.loads(self.read(EXIT_RECORD, 4096))
            pid, status, at, deleted = (fields[name] for name in ("pid", "status", "at", "deleted"))
        except (OSError, BundleError, ValueError, RecursionError, KeyError, TypeError):
            return None
        # A record that is believed may be all that `delete` does: one in doubt is none.
        for value, bits in ((pid, 32), (status, 32), (at, 63)):
            if type(value) is not int or not 0 <= value < 1 << bits:
                return None
        return ExitRecord(pid, status, at, deleted=deleted) if type(deleted) is bool else None

    def forget_exit(self) -> None:
        """Remove the record of an earlier container in this folder, if there was one.

        Raises:
            OSError: It can't be removed.
        """
        try:  # noqa: SIM105 - contextlib is too heavy for the start path
            os.unlink(self.file(EXIT_RECORD))
        except FileNotFoundError:
            pass


def tail(path: str, start: int, limit: int) -> str:
    """The last part of a file that has grown.

    Args:
        path: The file; one that can't be read counts as empty.
        start: Where its new part begins.
        limit: The most bytes wanted.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - limit))
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


def _replace(temporary: str, path: str) -> None:
    """Put a file in the place of another; on Windows a reader may hold that up for a moment."""
    deadline = time.monotonic() + (_REPLACE_TIMEOUT if os.name == "nt" else 0.0)
    while True:
        try:
            os.replace(temporary, path)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return
