"""Platform specifiers such as `windows/amd64` or `linux`, by containerd's rules. Pure.

A single word is an operating system, or an architecture of this one's; of two or three words the
first is the operating system whatever it says. Names have aliases, which are translated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from podshim.errors import InvalidArgumentError

HOST_OS = "windows"
HOST_ARCHITECTURE = "amd64"

_WORD = re.compile(r"^[A-Za-z0-9_.-]+$")
_OS = re.compile(r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$")

_SYSTEMS = frozenset(
    [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
        "zos",
    ]
)
_ARCHITECTURES = frozenset(
    [
        "386",
        "amd64",
        "amd64p32",
        "arm",
        "armbe",
        "arm64",
        "arm64be",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "mips64p32",
        "mips64p32le",
        "ppc",
        "ppc64",
        "ppc64le",
        "riscv",
        "riscv64",
        "s390",
        "s390x",
        "sparc",
        "sparc64",
        "wasm",
    ]
)
_ALIASES = {
    "i386": "386",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
}
#: Aliases that stand for a variant, too, whatever else is said.
_IMPLIED = {"i386": "", "armhf": "v7", "armel": "v6"}
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}


@dataclass(frozen=True, slots=True)
class Platform:
    """What a specifier says."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse(specifier: str) -> Platform:
    """Read a specifier.

    Raises:
        InvalidArgumentError: It is none.
    """
    quoted = json.dumps(specifier)
    if "*" in specifier:
        raise InvalidArgumentError(f"{quoted}: wildcards not yet supported")
    first, *rest = specifier.split("/")
    named = _OS.fullmatch(first)
    if named is None:
        raise InvalidArgumentError(
            f"{json.dumps(first)} is an invalid OS component of {quoted}:"
            f" OSAndVersion specifier component must match {json.dumps(_OS.pattern)}"
        )
    for word in rest:
        if _WORD.fullmatch(word) is None:
            raise InvalidArgumentError(
                f"{json.dumps(word)} is an invalid component of {quoted}:"
                f" platform specifier component must match {json.dumps(_WORD.pattern)}"
            )
    system = _system(named[1])
    match rest:
        case []:
            return _single(named[1], system, quoted)
        case [architecture]:
            return Platform(system, *_architecture(architecture))
        case [architecture, variant]:
            return Platform(system, *_architecture(architecture, variant))
    raise InvalidArgumentError(f"{quoted}: cannot parse platform specifier")


def _single(word: str, system: str, quoted: str) -> Platform:
    if system in _SYSTEMS:
        return Platform(system, HOST_ARCHITECTURE)
    architecture, variant = _architecture(word)
    if architecture in _ARCHITECTURES:
        return Platform(HOST_OS, architecture, variant)
    raise InvalidArgumentError(f"{quoted}: unknown operating system or architecture")


def _system(word: str) -> str:
    lower = word.lower()
    return "darwin" if lower == "macos" else lower


def _architecture(word: str, variant: str | None = None) -> tuple[str, str]:
    """An architecture and its variant; the usual variant is told only if one was asked for."""
    word = word.lower()
    architecture = _ALIASES.get(word, word)
    said = (variant or "").lower()
    found = _IMPLIED.get(word, _VARIANTS.get(architecture, {}).get(said, said))
    match architecture, found:
        case "arm", "v7" if variant is None:
            found = ""
        case "arm64", "" if variant is not None:
            found = "v8"
    return architecture, found
