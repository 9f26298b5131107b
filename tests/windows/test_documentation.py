"""`docs/runhcs.md` says which test shows what: every line of it, and the tests are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "runhcs.md"
ROW = re.compile(r"^\| (\d+) \| ([WSR]) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")

#: What the contract's list has: its items by how each can be shown, here or on real Windows alone.
ITEMS = range(1, 101)
REAL_WINDOWS_ONLY = {67, 68, 100}
#: Of utility VMs, what needs no stand-in.
LAST_OF_PODS = 75


def rows() -> dict[int, tuple[str, str, list[tuple[str, str]]]]:
    found = ROW.findall(DOCUMENT.read_text())
    table = {int(n): (tag, what, TEST.findall(tests)) for n, tag, what, tests in found}
    assert len(table) == len(found), "a number stands twice"
    return table


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_item_is_there() -> None:
    assert sorted(rows()) == list(ITEMS)


@pytest.mark.parametrize("number", ITEMS)
def test_an_item_names_tests_that_exist(number: int) -> None:
    tag, what, tests = rows()[number]
    assert (tag == "R") == (number in REAL_WINDOWS_ONLY)
    if tag == "W" or (tag == "S" and number <= LAST_OF_PODS):
        assert tests, f"nothing shows that {what}"
    for file, name in tests:
        assert name.startswith("test_"), name
        assert name in functions(file), f"{file} has no {name}"


def test_every_file_of_cases_is_run_by_a_test() -> None:
    runners = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for case in Path(__file__).parent.glob("cases/case_*.py"):
        parts = case.stem.split("_")
        patterns = {f"{'_'.join(parts[:n])}_*.py" for n in range(1, len(parts))} | {case.name}
        assert any(f'{pattern}"' in runners for pattern in patterns), f"nothing runs {case.name}"
