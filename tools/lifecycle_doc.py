"""Write docs/lifecycle.md from the tables in podshim.task.lifecycle and podshim.task.runhcs.tables.

Run it after a change of the tables: python tools/lifecycle_doc.py. A test compares.
"""

from pathlib import Path

from podshim.task.lifecycle import EXEC, INIT, Operation, Refusal, Rules
from podshim.task.runhcs.tables import PROCESS, SANDBOX

TARGET = Path(__file__).parents[1] / "docs" / "lifecycle.md"

HEAD = """# Life cycles

What an init and an exec may do next, as containerd's shim contract has it, and what they may do on
Windows. This page is made from the tables in `src/podshim/task/lifecycle.py` and
`src/podshim/task/runhcs/tables.py` by `tools/lifecycle_doc.py`.

A client asks for an *operation*: each section's table says where it is refused, and with which
words. What has happened is a *fact*: the diagram says where it leads. To clients, the states
*created from checkpoint* and *start failed* are `CREATED`, and what is *deleted* is not found.
"""


WINDOWS = """## On Windows

The shim for Windows has a contract of its own. What is *stopped* here, its clients call exited. Its
texts name the process: `{task}` is the task's id, `{exec}` the process's own, which for an init is
the task's, and `{asked}` what clients call it, which for an init is empty. A kill or a deletion of
what was not started ends it; a deletion leaves no state behind, an init goes on answering.
"""


def document() -> str:
    """The whole page."""
    sections = [
        *_section("Init", INIT),
        "",
        *_section("Exec", EXEC),
        "",
        WINDOWS,
        *_section("Init and exec on Windows", PROCESS),
        "",
        *_section("Pod sandbox without a container on Windows", SANDBOX),
        "",
    ]
    return "\n".join([HEAD, *sections])


def _section(title: str, rules: Rules) -> list[str]:
    return [f"## {title}", "", *_diagram(rules), "", *_table(rules)]


def _diagram(rules: Rules) -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {state.name}: {state.value}" for state in rules.moves]
    lines += [f"    [*] --> {state.name}" for state in rules.first]
    for state, moves in rules.moves.items():
        lines += [
            f"    {state.name} --> {following.name}: {fact.value}"
            for fact, following in moves.items()
        ]
    return [*lines, "```"]


def _table(rules: Rules) -> list[str]:
    operations = [operation for operation in Operation if operation in rules.operations]
    lines = [
        "| | " + " | ".join(operation.value for operation in operations) + " |",
        "|---" * (len(operations) + 1) + "|",
    ]
    for state, refused in rules.refusals.items():
        cells = [_cell(refused.get(operation)) for operation in operations]
        lines.append(f"| {state.value} | " + " | ".join(cells) + " |")
    return lines


def _cell(refusal: Refusal | None) -> str:
    return "allowed" if refusal is None else f"`{refusal.error(refusal.text)}`"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
