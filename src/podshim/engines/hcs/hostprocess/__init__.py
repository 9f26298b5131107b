"""HostProcess containers: processes of the host in a job object, with files of their own.

Theory of operation. Nothing of the Host Compute Service is in here. A container is a job (`job`),
with limits (`limits`), whose processes (`process`) run as a user of the host (`users`, `identity`),
see the host's files and at one place their own (`location`, `rootfs`), and are found as Windows
finds programs (`application`). `create` makes one, `container` is what the task layer acts on.

Windows' job objects have grown with its builds: what a host does not have is a limit that is not
set or a figure that is not told, which `shortcomings` logs once.
"""

from podshim.engines.hcs.hostprocess.creation import HostFacts, MountedLayers, create

__all__ = ["HostFacts", "MountedLayers", "create"]
