"""What `start` reads of a spec."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from podshim.shim.runhcs import specfile
from podshim.shim.runhcs.specfile import SpecError


@given(st.dictionaries(st.text(), st.text()), st.binary())
def test_annotations_are_read_whatever_follows(found: dict[str, str], rest: bytes) -> None:
    text = json.dumps({"hostname": 5, "annotations": found, "process": None}).encode()
    assert specfile.annotations(b" \r\n\t" + text + rest) == found


@pytest.mark.parametrize("text", ["null", "{}", '{"annotations": null}', '{"annotations": {}}'])
def test_none(text: str) -> None:
    assert specfile.annotations(text.encode()) == {}


def test_null_is_an_empty_text() -> None:
    assert specfile.annotations(b'{"annotations": {"a": null, "b": "c"}}') == {"a": "", "b": "c"}


@pytest.mark.parametrize("text", [
    "", " ", "[]", "5", '"x"', "{", "x", "NaN", '{"a": Infinity}', '{"annotations": []}',
    '{"annotations": "a"}', '{"annotations": {"a": 5}}', '{"annotations": {"a": {}}}',
    "[" * 100_000, '{"a"}', "\ufeff{}",
])  # fmt: skip
def test_what_is_no_spec(text: str) -> None:
    with pytest.raises(SpecError, match=r"^failed to deserialize valid OCI spec: .+"):
        specfile.annotations(text.encode())


@given(st.binary())
def test_nothing_else_can_happen(text: bytes) -> None:
    with contextlib.suppress(SpecError):
        specfile.annotations(text)
