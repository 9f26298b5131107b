"""Members of a spec: what is missing, null or of another type."""

from typing import Any

import pytest

from podshim.errors import InvalidArgumentError
from podshim.hcsspec.reading import Member, annotations_of


def test_missing_and_null_members_are_absent_all_the_way_down() -> None:
    specs: list[Any] = [{}, {"windows": None}, {"windows": {}}, {"windows": {"resources": None}}]
    for spec in specs:
        limit = Member(spec)["windows"]["resources"]["memory"]["limit"]
        assert not limit.present
        assert limit.unsigned(64) is None
        assert limit.text("x") == "x"
        assert limit.items() == []
        assert limit.mapping() == {}
        assert limit.flag() is False


def test_numbers_are_as_wide_as_their_type() -> None:
    assert Member({"n": 65535})["n"].unsigned(16) == 65535
    assert Member({"n": (1 << 64) - 1})["n"].unsigned(64) == (1 << 64) - 1
    assert Member({"n": -(1 << 31)})["n"].signed(32) == -(1 << 31)
    wrong: list[Any] = [65536, -1, 1.0, 1e3, True, "1", [], {}]
    for value in wrong:
        with pytest.raises(InvalidArgumentError, match=r"config\.json: n must be a number"):
            Member({"n": value})["n"].unsigned(16)
    with pytest.raises(InvalidArgumentError):
        Member({"n": 1 << 31})["n"].signed(32)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"hostname": 5}, "config.json: hostname must be a string: invalid argument"),
        ({"hostname": ["a"]}, "config.json: hostname must be a string: invalid argument"),
        (
            {"hostname": "a\0b"},
            "config.json: hostname must be a string without NUL characters: invalid argument",
        ),
    ],
)
def test_a_wrong_type_is_refused_by_its_path(spec: Any, text: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Member(spec)["hostname"].text()
    assert str(caught.value) == text


def test_paths_in_errors_lead_through_objects_and_lists() -> None:
    spec = {"mounts": [{"source": "a"}, {"source": 1}]}
    with pytest.raises(InvalidArgumentError, match=r"mounts\[1\]\.source must be a string"):
        [mount["source"].text() for mount in Member(spec)["mounts"].objects()]
    with pytest.raises(InvalidArgumentError, match=r"mounts\[1\] must be an object"):
        Member({"mounts": [None, 5]})["mounts"].objects()
    with pytest.raises(InvalidArgumentError, match=r"windows must be an object"):
        Member({"windows": 5})["windows"]["hyperv"]
    with pytest.raises(InvalidArgumentError, match=r"mounts must be a list"):
        Member({"mounts": {}})["mounts"].items()


def test_annotations_are_strings() -> None:
    assert annotations_of({}) == {}
    assert annotations_of({"annotations": {"a": "b", "c": None}}) == {"a": "b", "c": ""}
    values: list[Any] = [1, True, {}]
    for value in values:
        with pytest.raises(InvalidArgumentError, match=r"annotations\.a must be a string"):
            annotations_of({"annotations": {"a": value}})
    with pytest.raises(InvalidArgumentError, match="annotations must be an object"):
        annotations_of({"annotations": ["a"]})
