"""Every known difference between the original and ours, with the reason: rows for the reader.

Where a difference shows, and what ours has there, is filed in `known.json` under the row's name. A
new place is filed by `python -m windows.compare --list ROW CASE...`, after a look at it.
"""

import json
from pathlib import Path
from typing import Any

from windows.compare.judge import Difference

FILE = Path(__file__).with_name("known.json")
PLACES: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))


def _row(name: str, what: str, theirs: str, ours: str, why: str) -> Difference:
    return Difference(name, what, theirs, ours, why, PLACES.get(name, {}))


KNOWN: list[Difference] = [
    _row(
        "json-words",
        "Texts about broken JSON",
        "the words of Go's decoder, with the names of its types",
        "what is wrong and where, with the names of the spec's members",
        "An operator knows the spec, and neither program's types.",
    ),
    _row(
        "json-members",
        "Names of members in JSON",
        "in capitals or not; of two of one name both count",
        "as the OCI specification writes them; of two of one name the last counts",
        "No program that writes specs uses the other forms, and a spec means one thing to all.",
    ),
    _row(
        "folders-for-files",
        "A folder where a file should be",
        "Go's words for it",
        "Windows' words for it",
        "The failure is the same; the words come from the system.",
    ),
    _row(
        "failed-start",
        "A `start` that fails at its last steps",
        "its server lives on, known to nobody; its files stay",
        "ends the server and removes its files",
        "Nothing is left behind by what has failed.",
    ),
    _row(
        "dead-server",
        "A server that dies before it serves, for bad options or a lack of them",
        "`start` prints the address, exits with 0 and writes its files",
        "`start` tells the server's reason, exits with 1 and writes no files",
        "containerd shows why, and does not wait for a pipe that never comes.",
    ),
    _row(
        "other-options",
        "Options on stdin of another type, and `BootstrapParams`",
        "the server dies, `start` succeeds",
        "taken as bootstrap parameters, or else as no options; the server serves",
        "containerd 2.3 sends `BootstrapParams` to shims of other names; v0.14.1 is older.",
    ),
    _row(
        "identifiers",
        "Ids that containerd would never give",
        "used as they are, in pipe names and paths",
        "refused: `identifier ... must match ...: invalid argument`",
        "An id becomes a part of pipe names, paths and accounts.",
    ),
    _row(
        "version",
        "`--version`",
        "no version, for none was set in the build",
        "podshim's version, and that of the OCI specification",
        "That is what it is asked for.",
    ),
    _row(
        "no-events",
        "Create while containerd's events server can't be reached",
        "fails after five seconds",
        "succeeds; events wait in a queue and are tried again",
        "A container needs no events server; containerd may be starting again.",
    ),
    _row(
        "crash",
        "Requests that crash the original",
        "the server dies with all its tasks",
        "an error says what is wrong, or it works; the server lives",
        "One bad request must not end a pod.",
    ),
    _row(
        "protobuf-words",
        "Texts about broken protobuf messages",
        "the words of Go's decoder",
        "the words of protobuf's own decoder",
        "They say the same.",
    ),
    _row(
        "wrong-types",
        "Members of a wrong type in specs, processes and options",
        "code Unknown",
        "code InvalidArgument; the text names the member",
        "The caller sent what can never be right, and sees which member it is.",
    ),
    _row(
        "codes",
        "Refusals whose text ends in `invalid argument`",
        "code Unknown",
        "code InvalidArgument",
        "The code says what the text says.",
    ),
    _row(
        "one-task",
        "Create of a second task, or of one with another id, in a shim that stands alone",
        "replaces the task, or fails in HCS after its layers were mounted",
        "AlreadyExists or InvalidArgument before anything is done",
        "The first task would be out of reach, with all that it holds.",
    ),
    _row(
        "exec-of-the-init",
        "Exec with the id of its task",
        "made; its events look like the init's",
        "AlreadyExists",
        "The init has that id already.",
    ),
    _row(
        "checked-first",
        "Specs that can't be",
        "layers are mounted, then the spec is refused and they are unmounted",
        "refused before anything is mounted",
        "Less is done in vain, and nothing can be left behind.",
    ),
    _row(
        "namespace-given-back",
        "A network namespace whose endpoints can't be added",
        "stays",
        "is deleted",
        "Nothing is left behind by what has failed.",
    ),
    _row(
        "newer",
        "Annotations that are newer than v0.14.1",
        "ignored",
        "obeyed",
        "containerd's current runhcs shim knows them.",
    ),
    _row(
        "typos",
        "Slips in texts: `invaid`, `missing Target path` of one that is there, a colon too many",
        "as they are",
        "put right",
        "They mislead whoever reads them.",
    ),
    _row(
        "kill-errors",
        "A kill that HCS refuses",
        "NotFound, as if the process were gone",
        "HCS' error",
        "The process lives, and whoever wanted to end it must know.",
    ),
    _row(
        "hcs-details",
        "What HCS tells of a failure besides its code",
        "lost where HCS tells it at the end of an operation",
        "a line for each of its events",
        "That is where the reason is.",
    ),
    _row(
        "half-made",
        "A system whose creation failed at its end",
        "closed",
        "terminated, then closed",
        "It may have been made nevertheless.",
    ),
    _row(
        "shutdown-code",
        "The server's exit code after Shutdown",
        "1 (seen under Wine, with a client still connected)",
        "0",
        "It did what it was told.",
    ),
    _row(
        "ended",
        "Pids and Stats of a container that has ended",
        "code Unknown, and words about handles",
        "code NotFound",
        "containerd takes NotFound for what it is: nothing to count any more.",
    ),
    _row(
        "stream-paths",
        "Streams that are no pipes, and loggers that can't be started",
        "Go's words for what the system says",
        "what was expected instead, or what failed",
        "They name what was wrong with the request.",
    ),
    _row(
        "pointers",
        "An update of processors that asks for none or two things",
        "code Unknown; the text shows addresses in memory",
        "code InvalidArgument; the text says what may be asked for",
        "An address tells nobody anything.",
    ),
    _row(
        "hcs-codes",
        "Codes of HCS in texts",
        "the 0xC037.... family that `vmcompute.dll` answers with",
        "the 0x8037.... family of `computecore.dll`",
        "The newer interface has other numbers for the same errors.",
    ),
]


def save(places: dict[str, dict[str, dict[str, Any]]]) -> None:
    """File places anew, in order."""
    ordered = {
        name: {case: dict(sorted(there.items())) for case, there in sorted(cases.items())}
        for name, cases in sorted(places.items())
        if cases
    }
    FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
