"""Command lines, split again by the rules that every Windows program follows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from podshim.win32 import detached
from podshim.win32.binding import ERROR_INVALID_PARAMETER, code_of

#: Blanks, backslashes with the quote behind them, or anything else.
TOKEN = re.compile(r'[ \t]+|\\*"|\\+|[^ \t\\"]+')


def split(line: str) -> list[str]:
    """What a C program finds as its arguments, the program's name included."""
    words: list[str] = [""]
    begun = quoted = False
    for token in TOKEN.findall(line):
        if token.isspace() and token[0] in " \t" and not quoted:
            if begun:
                words.append("")
            begun = False
            continue
        begun = True
        if not token.endswith('"'):
            words[-1] += token
            continue
        slashes = len(token) - 1
        words[-1] += "\\" * (slashes // 2)
        if slashes % 2:
            words[-1] += '"'
        else:
            quoted = not quoted
    return words if begun else words[:-1]


@given(st.lists(st.text(st.characters(exclude_characters="\0")) | st.text('\\" \tx')))
def test_words_come_back(words: list[str]) -> None:
    assert split(detached.command_line(["program.exe", *words])) == ["program.exe", *words]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("a", "a"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a\\", "a\\"),
        ("a b\\", '"a b\\\\"'),
        ('a"b', '"a\\"b"'),
        ('a\\"b', '"a\\\\\\"b"'),
        ("\\\\.\\pipe\\x", "\\\\.\\pipe\\x"),
    ],
)
def test_examples(word: str, text: str) -> None:
    assert detached.command_line([word]) == text


def test_what_no_command_line_can_say() -> None:
    with pytest.raises(OSError, match="a") as error:
        detached.command_line(["a\0b"])
    assert code_of(error.value) == ERROR_INVALID_PARAMETER
