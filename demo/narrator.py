"""How a demo talks: titles, explanations, and commands with what they printed."""

import shutil
import textwrap

WIDTH = min(shutil.get_terminal_size((100, 24)).columns, 100)


def title(text: str) -> None:
    """Begin a part of the story."""
    print(f"\n── {text} {'─' * (WIDTH - len(text) - 4)}\n", flush=True)


def tell(text: str) -> None:
    """Tell something."""
    print(textwrap.fill(" ".join(text.split()), WIDTH), end="\n\n", flush=True)


def show(command: str, output: str) -> None:
    """Show a command and what it printed."""
    lines = textwrap.wrap(command, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    print("  $ " + " \\\n      ".join(lines))
    print(textwrap.indent(output.strip("\n") or "(nothing)", "  "), end="\n\n", flush=True)
