"""Worlds: the copies of a box's template that run, one for each pid namespace and each test run.

A copy shares its files with the template by hard links, so it costs a fraction of a second and
little space. That is safe because what changes in a prefix is replaced, not written in place, but
for Wine's registry, which is copied.
"""

import fcntl
import os
import shutil
from dataclasses import replace
from pathlib import Path

from windows.winebox import server
from windows.winebox.recipe import Places

WORLD = "PODSHIM_WINE_WORLD"  # the environment variable that names the world to use


def enter(template: Places, name: str | None = None) -> Places:
    """Have a world, and hold it (shared) until this process ends. Safe to call concurrently.

    Args:
        template: places of a complete box.
        name: the world's name; by default the environment's, else one for this pid namespace.
    """
    namespace = os.stat("/proc/self/ns/pid").st_ino
    at = replace(template, world=name or os.environ.get(WORLD) or f"namespace-{namespace}")
    with server.locked(at.box / "worlds.lock"):
        lock = os.open(at.world_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not (at.home / "ready").exists():
            _copy(template.home, at.home)
            (at.home / "ready").touch()
            _sweep(at)
    return at


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    if source.endswith(".reg"):
        shutil.copy2(source, target)
    else:
        os.link(source, target, follow_symlinks=False)


def _sweep(at: Places) -> None:
    """Remove worlds that neither a process nor a wineserver holds."""
    template = replace(at, world="template").world_lock
    for lock in set(at.world_lock.parent.glob("*.lock")) - {template}:
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
