"""Root file systems for containers: busybox and its applets, nothing else."""

import shutil
import subprocess
from pathlib import Path

BUSYBOX = Path("/bin/busybox")


def make_rootfs(folder: Path) -> Path:
    """Fill a folder so that a container can live in it.

    Args:
        folder: Where; it is made, and must not exist.

    Returns:
        The folder.

    Raises:
        OSError, subprocess.SubprocessError: There is no (static) busybox, or no room.
    """
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy2(BUSYBOX, folder / "bin/busybox")
    listing = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True, timeout=30)
    for applet in listing.stdout.decode().split():
        if applet != "busybox":
            (folder / "bin" / applet).symlink_to("busybox")
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    return folder
