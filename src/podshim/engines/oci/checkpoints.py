"""Checkpoints by CRIU, through the runtime: folders, logs and whose command line it is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from podshim.engines.oci import commands
from podshim.engines.oci.blocking import in_thread
from podshim.engines.oci.options import decode_checkpoint
from podshim.engines.oci.runtime import RuntimeFailureError
from podshim.errors import ShimError

if TYPE_CHECKING:
    from podshim.bundle import Bundle
    from podshim.engine import TypedValue
    from podshim.engines.oci.runtime import Runtime

DUMP_LOG: Final = "criu-dump.log"
#: A log of CRIU's is copied up to this size.
_MAX_LOG: Final = 16 << 20
_FILE_LIMIT: Final = 30.0


async def is_crun(runtime: Runtime) -> bool:
    """Whether the runtime is crun, by its own word."""
    return (await runtime.run("--version")).lower().startswith(b"crun")


def _keep_log(work: str, target: str) -> None:
    with open(os.path.join(work, "dump.log"), "rb") as source:
        content = source.read(_MAX_LOG)
    with open(target, "wb") as file:
        file.write(content)


async def checkpoint(
    runtime: Runtime, bundle: Bundle, path: str, options: TypedValue | None
) -> None:
    """Write a container's state into the folder `path`.

    Raises:
        InvalidArgumentError: The options are not understood.
        ShimError: The runtime refused; CRIU's log is kept in the bundle.
    """
    wanted = decode_checkpoint(options)
    work = wanted.work_path or bundle.file(os.path.join("work", "criu-work"))
    arguments = commands.checkpoint(
        wanted, path, work, runtime.container_id, crun=await is_crun(runtime)
    )
    try:
        await in_thread(
            lambda: os.makedirs(work, mode=0o711, exist_ok=True),
            limit=_FILE_LIMIT,
            what="checkpoint folder",
        )
        await runtime.run("checkpoint", *arguments)
    except RuntimeFailureError as error:
        kept = bundle.file(DUMP_LOG)
        try:
            await in_thread(lambda: _keep_log(work, kept), limit=_FILE_LIMIT, what="checkpoint log")
        except (OSError, ShimError):
            raise error from None
        raise ShimError(f"{error.detail.partition(chr(10))[0]} path= {kept}") from error
    except OSError as error:
        raise ShimError(f"checkpoint: {error}") from error
    finally:
        if not wanted.work_path:
            await in_thread(
                lambda: shutil.rmtree(work, ignore_errors=True),
                limit=_FILE_LIMIT,
                what="checkpoint clean-up",
            )
