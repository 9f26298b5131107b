"""Annotations: how each kind is read, the table, and what is made of it."""

import importlib.util
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies

from podshim.errors import ShimError
from podshim.hcsspec import table
from podshim.hcsspec.annotations import (
    BOOL,
    GUID,
    INT32,
    TEXT,
    TEXTS,
    UINT32,
    UINT32S,
    UINT64,
    UINT64S,
    Annotation,
    Annotations,
)
from podshim.hcsspec.sockets import socket_services

REPOSITORY = Path(__file__).parents[2]


def read(kind: Any, text: str, default: Any = None) -> Any:
    return Annotations({"key": text}).get(Annotation("key", kind, default, "a test"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (BOOL, "t", True),
        (BOOL, "False", False),
        (INT32, "-2147483648", -(1 << 31)),
        (INT32, "+7", 7),
        (INT32, "007", 7),
        (UINT32, "4294967295", (1 << 32) - 1),
        (UINT64, "18446744073709551615", (1 << 64) - 1),
        (TEXT, "", ""),
        (TEXT, " x ", " x "),
        (TEXTS, "a, b,", ("a", " b", "")),
        (UINT32S, "0,1,4294967295", (0, 1, (1 << 32) - 1)),
        (UINT64S, "1", (1,)),
    ],
)
def test_values(kind: Any, text: str, value: Any) -> None:
    assert read(kind, text) == value
    assert type(read(kind, text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BOOL, "yes"),
        (BOOL, ""),
        (BOOL, "tRUE"),
        (INT32, "2147483648"),
        (INT32, "1e3"),
        (INT32, " 1"),
        (INT32, "1_000"),
        (INT32, "0x10"),
        (INT32, "٣"),
        (INT32, ""),
        (UINT32, "-1"),
        (UINT32, "+1"),
        (UINT32, "4294967296"),
        (UINT64, "18446744073709551616"),
        (UINT64, "9" * 10_000),
        (UINT32S, "1, 2"),
        (UINT32S, "1,,2"),
        (UINT64S, "1,x"),
    ],
)
def test_a_wrong_text_is_warned_of_and_counts_as_absent(
    kind: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    default = object()
    with caplog.at_level(logging.WARNING):
        assert read(kind, text, default) is default
    assert "annotation value could not be parsed: key" in caplog.text
    assert len(caplog.text) < 500


def test_an_empty_list_is_absent_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert read(UINT32S, "", ()) == ()
    assert read(TEXTS, "", ("x",)) == ("x",)
    assert not caplog.records


def test_a_wrong_guid_is_an_error() -> None:
    text = "6827367b-c388-4e9b-961c-6d2c936c0000"
    assert read(GUID, text.upper()) == UUID(text)
    for wrong in ("", "x", "{" + text + "}", text[:-1], text.replace("-", "")):
        with pytest.raises(ShimError) as caught:
            Annotations({table.RESOURCE_PARTITION.key: wrong}).get(table.RESOURCE_PARTITION)
        assert str(caught.value) == (
            'failed to parse annotation "io.microsoft.virtualmachine.resource-partition-id"'
            f' with value "{wrong}" as GUID: invalid GUID "{wrong}"'
        )
    assert Annotations(None).get(table.RESOURCE_PARTITION) is None


@given(strategies.sampled_from(table.ROWS), strategies.text(max_size=30))
def test_no_text_breaks_a_reader(row: Annotation[Any], text: str) -> None:
    try:
        value = Annotations({row.key: text}).get(row)
    except ShimError:
        assert row.kind.strict
    else:
        kinds = {type(row.default)} | ({bool} if row is table.HCL_ENABLED else set())
        assert row.kind.strict or type(value) in kinds


def test_keys_are_unique_and_defaults_are_of_their_kind() -> None:
    keys = [row.key for row in table.ROWS]
    assert len(set(keys)) == len(keys)
    types = {BOOL: bool, INT32: int, UINT32: int, UINT64: int, TEXT: str}
    for row in table.ROWS:
        wanted = types.get(row.kind, tuple)
        assert row.default is None or type(row.default) is wanted, row.key
        assert row.purpose, row.key


def test_the_documentation_shows_the_table() -> None:
    path = REPOSITORY / "tools" / "annotations_doc.py"
    spec = importlib.util.spec_from_file_location("annotations_doc", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.TARGET.read_text(encoding="utf-8")
    assert written == module.document(), "run: python tools/annotations_doc.py"
    assert all(f"`{row.key}" in written for row in table.ROWS)


SERVICE = "io.microsoft.virtualmachine.hv-socket.service-table."


def test_hyperv_socket_services(caplog: pytest.LogCaptureFixture) -> None:
    found = socket_services(
        Annotations(
            {
                SERVICE + "6827367B-C388-4E9B-961C-6D2C936C0000": (
                    '{"AllowWildcardBinds": true, "BindSecurityDescriptor": "D:P",'
                    ' "Disabled": false}'
                ),
                SERVICE + "6827367b-c388-4e9b-961c-6d2c936c0001": "{}",
                SERVICE + "no guid": "{}",
                SERVICE + "6827367b-c388-4e9b-961c-6d2c936c0002": "{",
                SERVICE + "6827367b-c388-4e9b-961c-6d2c936c0003": '{"Disabled": "no"}',
                SERVICE + "6827367b-c388-4e9b-961c-6d2c936c0004": "5",
                SERVICE + "6827367b-c388-4e9b-961c-6d2c936c0005": "null",
                "other": "{}",
            }
        )
    )
    assert found == {
        "6827367b-c388-4e9b-961c-6d2c936c0000": {
            "BindSecurityDescriptor": "D:P",
            "AllowWildcardBinds": True,
        },
        "6827367b-c388-4e9b-961c-6d2c936c0001": {},
        "6827367b-c388-4e9b-961c-6d2c936c0005": {},
    }
    assert len(caplog.records) == 4
