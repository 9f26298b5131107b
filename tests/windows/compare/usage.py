"""Usage texts, condensed: that one was printed, for what, with which commands and flags.

The words of explanation are each shim's own.
"""

import re

_FLAG = re.compile(r"^ {3}(--?[a-z][^\s,]*(?:, -[a-z])?(?: value)?)(?:\s|$)", re.MULTILINE)
_COMMAND = re.compile(r"^ {3}([a-z]+(?:, [a-z])?)(?: {2}|$)", re.MULTILINE)


def condensed(text: str) -> str:
    """A text with its usage message, if it holds one, condensed to a line."""
    before, found, after = text.partition("NAME:\n")
    if not found:
        return text
    name = after.split("\n", 1)[0].strip().partition(" - ")[0].removesuffix(" -")
    commands = ""
    if "\nCOMMANDS:\n" in after:
        _, _, rest = after.partition("\nCOMMANDS:\n")
        block, _, _ = rest.partition("\nGLOBAL OPTIONS:\n")
        commands = f"; commands {', '.join(sorted(_COMMAND.findall(block)))}"
    flags = ", ".join(sorted(_FLAG.findall(after)))
    return f"{before}(usage of {name}{commands}; flags {flags or 'none'})"
