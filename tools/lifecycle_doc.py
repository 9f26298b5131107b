"""Write docs/lifecycle.md from the tables in podshim.task.lifecycle.

Run it after a change of the tables: python tools/lifecycle_doc.py. A test compares.
"""

from pathlib import Path

from podshim.task.lifecycle import EXEC, INIT, Operation, Refusal, Rules

TARGET = Path(__file__).parents[1] / "docs" / "lifecycle.md"

HEAD = """# Life cycles

What an init and an exec may do next, as containerd's shim contract has it. This page is made from
the tables in `src/podshim/task/lifecycle.py` by `tools/lifecycle_doc.py`.

A client asks for an *operation*: each section's table says where it is refused, and with which
words. What has happened is a *fact*: the diagram says where it leads. To clients, the states
*created from checkpoint* and *start failed* are `CREATED`, and what is *deleted* is not found.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_section("Init", INIT), "", *_section("Exec", EXEC), ""])


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
