"""Which shim a user means, by the names of pipes."""

import pytest
from hypothesis import given, strategies as st

from podshim.cli import shimnames
from podshim.cli.shimnames import ShimNameError

FOLDER = "ProtectedPrefix\\Administrators\\"
NAMES = st.text(alphabet="abcdefghijkl-._", min_size=1)


def test_the_shims_are_the_pipes_of_that_form_sorted() -> None:
    pipes = [
        f"{FOLDER}containerd-shim-k8s.io-b-pipe",
        "docker_engine",
        f"{FOLDER}containerd-shim-k8s.io-a-pipe",
        "containerd-shim-k8s.io-a-log",
        f"{FOLDER}containerd-shim--pipe",
        f"{FOLDER}containerd-shim-k8s.io-a-log",
    ]
    assert shimnames.shims(pipes) == ["k8s.io-a", "k8s.io-b"]


@given(st.sets(NAMES))
def test_a_shim_is_found_by_its_address(names: set[str]) -> None:
    assert shimnames.shims(map(shimnames.address, names)) == sorted(names)


@pytest.mark.parametrize("given", ["", "a*", "a?", "a\\b", "a/b"])
def test_what_can_be_no_name_is_refused(given: str) -> None:
    with pytest.raises(ShimNameError, match=r"^invalid shim name "):
        shimnames.choose(["a"], given)


def test_a_unique_beginning_is_enough() -> None:
    assert shimnames.choose(["k8s.io-abc", "k8s.io-xyz"], "k8s.io-a") == "k8s.io-abc"


def test_nothing_that_begins_so_is_no_shim() -> None:
    with pytest.raises(ShimNameError, match=r"^no such shim b$"):
        shimnames.choose(["abc"], "b")


def test_a_beginning_of_several_is_refused() -> None:
    with pytest.raises(ShimNameError, match=r"^multiple shims beginning with a$"):
        shimnames.choose(["abd", "abc"], "a")


def test_a_whole_name_that_begins_another_is_meant() -> None:
    assert shimnames.choose(["pod-1", "pod"], "pod") == "pod"
