"""The language of cases: what is done to a shim, as data.

Texts in a case may hold `$T`, which stands for eight letters that are the case's own: ids, pipes
and the namespace carry it, so that cases can be played at the same time. `$B` is the case's folder.
Observations hold `$T` again in its place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

POD = "pod$T"
NAMESPACE = "ns$T"
SOCKET = r"\\.\pipe\ProtectedPrefix\Administrators\containerd-shim-ns$T-"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's folder.

    Args:
        spec: what `config.json` holds: a document, a text as it is, or None for no file.
        files: further files by name, with their text; a name that ends in a backslash is a folder.
        layers: whether to make a base and a scratch layer, and name them in a spec with `windows`.
    """

    spec: Any = None
    files: Mapping[str, str] = field(default_factory=dict)
    layers: bool = True


class Step:
    """Something that is done, and leaves one entry in the observation."""


@dataclass(frozen=True, slots=True)
class Run(Step):
    """Run the shim with a command line, to its end.

    Args:
        arguments: its words.
        bundle: the bundle that is its working folder, and whose files are observed after it.
        stdin: all of its input.
        environment: variables to set, or with None to remove.
        serves: it is a server: observed when it has closed its output, and then let live.
    """

    arguments: Sequence[str]
    bundle: str = "pod"
    stdin: bytes = b""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Call(Step):
    """Call a method of the shim.

    Args:
        method: the method's name, as in `Create` or `DiagTasks`.
        fields: the request's members.
        behind: go on with the next step; `Collect` takes the answer.
        timeout: seconds until the client gives up.
        also: what else the observation names it by.
        causes: a request to HCS that comes of it after its answer, and is waited for.
    """

    method: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    behind: bool = False
    timeout: float = 45.0
    also: str = ""
    causes: str = ""


@dataclass(frozen=True, slots=True)
class Collect(Step):
    """Wait for the answers of all calls that were made behind."""


@dataclass(frozen=True, slots=True)
class Together(Step):
    """Do steps at the same time; who of them wins is left to chance, so outcomes are sorted."""

    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Event(Step):
    """Wait for an event of a process.

    Args:
        topic: the topic's last part, as in `exit`.
        id: the container.
        exec_id: the exec, or nothing.
    """

    topic: str
    id: str
    exec_id: str = ""


@dataclass(frozen=True, slots=True)
class Listen(Step):
    """Serve the pipe `pipe(name)`, as containerd does for a container's stream."""

    name: str


@dataclass(frozen=True, slots=True)
class Say(Step):
    """Write to the client of a pipe."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class HangUp(Step):
    """End the connection of a pipe's client."""

    name: str


@dataclass(frozen=True, slots=True)
class Hear(Step):
    """Wait until a pipe has brought a text, or (None) its client has ended; tells all."""

    name: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Log(Step):
    """Connect to the shim's log pipe; tells whether there is one.

    Args:
        id: whose pipe.
    """

    id: str = POD


@dataclass(frozen=True, slots=True)
class LogLine(Step):
    """Wait for a line of the log; tells its form."""


@dataclass(frozen=True, slots=True)
class Ended(Step):
    """Wait until the shim's server has ended; tells its exit code."""

    bundle: str = "pod"


@dataclass(frozen=True, slots=True)
class EndServer(Step):
    """End the shim's server as a crash would."""

    bundle: str = "pod"


@dataclass(frozen=True, slots=True)
class Typed:
    """A `google.protobuf.Any` in a request.

    Args:
        type_url: its type.
        value: its bytes, a text, or a document to write as JSON.
    """

    type_url: str
    value: Any = b""


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Args:
        name: its name, unique among all cases.
        part: the part of the contract that it is about.
        bundles: by name.
        steps: in order.
        faults: orders to the stand-in HCS, as its README has them.
        standin: further configuration of the stand-in.
        events: whether an events server is there.
        loose: more than one thing happens at a time: requests to HCS are in order for each
            compute system only.
        slow: it takes long, and should begin early.
        ignored: calls to HCS of which chance decides whether they are made.
    """

    name: str
    part: str
    bundles: Mapping[str, Bundle]
    steps: Sequence[Step]
    faults: Sequence[Mapping[str, Any]] = ()
    standin: Mapping[str, Any] = field(default_factory=dict)
    events: bool = True
    loose: bool = False
    slow: bool = False
    ignored: Sequence[str] = ()


def filled(value: Any, token: str, folder: str) -> Any:
    """A value of a case with `$T` and `$B` filled in, in all texts within it."""
    if isinstance(value, str):
        return value.replace("$T", token).replace("$B", folder)
    if isinstance(value, bytes):
        return value.replace(b"$T", token.encode())
    if isinstance(value, Mapping):
        return {filled(k, token, folder): filled(v, token, folder) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [filled(one, token, folder) for one in value]
    if isinstance(value, Typed):
        inner = filled(value.value, token, folder)
        text = inner if isinstance(inner, bytes | str) else json.dumps(inner)
        return Typed(filled(value.type_url, token, folder), text)
    return value


def pipe(name: str) -> str:
    """The path of a stream's pipe in this case."""
    return rf"\\.\pipe\stdio-$T-{name}"


def flags(task: str | None = POD, **changes: str | None) -> list[str]:
    """The global flags as containerd gives them; a change to None leaves a flag out."""
    given: dict[str, str | None] = {
        "namespace": NAMESPACE,
        "address": r"\\.\pipe\containerd",
        "publish-binary": "containerd.exe",
        "id": task,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return [
        word for name, value in given.items() if value is not None for word in (f"-{name}", value)
    ]


def start(task: str = POD, bundle: str = "pod", stdin: bytes = b"") -> Run:
    """`start` as containerd calls it."""
    return Run((*flags(task), "start"), bundle, stdin)


def delete(task: str = POD, bundle: str = "pod") -> Run:
    """`delete` as containerd calls it."""
    return Run((*flags(task), "-bundle", rf"$B\{bundle}", "delete"), bundle)
