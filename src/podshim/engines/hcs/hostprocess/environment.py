"""The variables of a HostProcess container's process. Pure.

Theory of operation. They come in three layers: what belongs to the user, what the spec says, and
where the root file system is. Names don't depend on case; of two with one name the later counts.
Programs of the container's own files are found because their place is appended to every `Path`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podshim.engines.hcs.hostprocess.location import MOUNT_POINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from podshim.engines.hcs.hostprocess.location import Location

_SHELLS: Final = "C:\\WINDOWS\\System32\\WindowsPowerShell\\v1.0\\;C:\\WINDOWS\\System32\\Wbem"
_ROOT: Final = "SYSTEMROOT"


def name_of(variable: str) -> str:
    """The name in `NAME=value`; those of drives' folders begin with the sign themselves."""
    return variable[:1] + variable[1:].partition("=")[0]


def value_of(variables: Iterable[str], name: str) -> str:
    """The value of a variable, whatever its case; empty if there is none."""
    for variable in variables:
        if name_of(variable).lower() == name.lower():
            return variable[len(name) + 1 :]
    return ""


def environment(
    user: Sequence[str], spec: Mapping[str, str], location: Location, system_root: str
) -> list[str]:
    """All variables of a process, as `NAME=value`.

    Args:
        user: Those that belong to its user.
        spec: Those of the spec, by name.
        location: Where the root file system is.
        system_root: Windows' folder, without which no program runs.
    """
    variables = [*user]
    variables += [location.substituted(f"{name}={value}") for name, value in spec.items()]
    variables.append(f"{MOUNT_POINT}={location.path}")
    variables = [_with_places(variable, location) for variable in variables]
    if not value_of(variables, _ROOT) and system_root:
        variables.append(f"{_ROOT}={system_root}")
    return _latest(variables)


def _with_places(variable: str, location: Location) -> str:
    if name_of(variable).lower() != "path":
        return variable
    separator = "" if variable.endswith((";", "=")) else ";"
    return f"{variable}{separator}{location.path};{_SHELLS}"


def _latest(variables: Sequence[str]) -> list[str]:
    """The last of each name, in the order of these."""
    last = {name_of(variable).lower(): number for number, variable in enumerate(variables)}
    return [variables[number] for number in sorted(last.values())]
