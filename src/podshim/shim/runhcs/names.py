r"""The names of a shim's pipes on Windows.

A pipe under `ProtectedPrefix\Administrators` can only be made by administrators: who connects to
such a name is sure of the server, and the default access list of pipes suffices. The log's pipe has
no such protection; containerd listens for nothing but text there.

Pure, and free of imports: `start` runs it.
"""

PIPE = "\\\\.\\pipe"


def task_pipe(namespace: str, shim_id: str) -> str:
    """The address of a shim.

    Args:
        namespace: containerd's namespace.
        shim_id: The id of the pod, or of the single container, that it serves.
    """
    protected = f"{PIPE}\\ProtectedPrefix\\Administrators"
    return f"{protected}\\containerd-shim-{namespace}-{shim_id}-pipe"


def log_pipe(namespace: str, shim_id: str) -> str:
    """Where a shim's log can be read: containerd begins to look before it runs `start`.

    Args:
        namespace: containerd's namespace.
        shim_id: As `task_pipe`'s.
    """
    return f"{PIPE}\\containerd-shim-{namespace}-{shim_id}-log"
