"""What HNS answers: success, failure, and what is not there."""

import json

import pytest

from podshim.engines.hcs import hcn
from podshim.engines.hcs.hcn import ComputeNetwork, MissingError
from podshim.errors import ShimError


def answer(patch: pytest.MonkeyPatch, text: str) -> None:
    patch.setattr(hcn, "_hns_call", lambda *_arguments: 0)
    patch.setattr(hcn, "take_string", lambda _pointer: text)


@pytest.mark.parametrize(
    "problem", ["Element not found.", " Endpoint x: Element not found. (1168)"]
)
def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    answer(monkeypatch, json.dumps({"Success": False, "Error": problem}))
    with pytest.raises(MissingError, match="HNS failed with error : "):
        ComputeNetwork().remove_endpoint("ns", "endpoint")


@pytest.mark.parametrize(
    "text",
    ['{"Success":false,"Error":"no"}', "{}", "", "[]", '{"Success":1}', '{"Error":{}}', "[" * 9999],
)
def test_what_is_no_success_is_a_failure(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    answer(monkeypatch, text)
    with pytest.raises(ShimError) as caught:
        ComputeNetwork().delete_namespace("ns")
    assert not isinstance(caught.value, MissingError)


def test_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, '{"Success":true,"Output":{}}')
    ComputeNetwork().delete_namespace("ns")
