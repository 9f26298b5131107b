"""Expansion of annotations, their conflicts, and options that become annotations."""

from typing import Any

import pytest
from hypothesis import given, strategies

from podshim.api.runhcs_options_pb2 import Options
from podshim.errors import ShimError
from podshim.hcsspec.expansion import EXPANSIONS, boolean, expand
from podshim.hcsspec.optionsmerge import merge

UNSAFE = "io.microsoft.disable-unsafe-operations"
GMSA = "io.microsoft.container.wcow.gmsa.disable"
NO_HPC = "microsoft.com/disable-hostprocess-container"
HPC = "microsoft.com/hostprocess-container"


@pytest.mark.parametrize("value", ["true", "false", "no boolean", ""])
def test_one_annotation_stands_for_four(value: Any) -> None:
    assert expand({UNSAFE: value, "other": "x"}) == {
        UNSAFE: value,
        "other": "x",
        GMSA: value,
        "io.microsoft.virtualmachine.fileshares.disablewritable": value,
        "io.microsoft.virtualmachine.wcow.virtualSMB.nodirectmap": value,
        NO_HPC: value,
    }


def test_without_it_nothing_changes() -> None:
    assert expand(None) == {}
    assert expand({GMSA: "true"}) == {GMSA: "true"}


def test_conflicts_are_told_all_at_once() -> None:
    with pytest.raises(ShimError) as caught:
        expand({UNSAFE: "true", GMSA: "false", HPC: "1"})
    assert str(caught.value) == (
        "unable to process OCI Spec annotations: annotation expansion conflict:"
        f' "{UNSAFE}" = "true" and "{GMSA}" = "false"\n'
        "specified annotations conflict: host process container annotations"
        f' "{NO_HPC}" = "true" and "{HPC}" = "1"'
    )


def test_values_with_quotes_and_backslashes_are_told_apart() -> None:
    with pytest.raises(ShimError) as caught:
        expand({UNSAFE: "true", GMSA: 'a"b\\'})
    assert str(caught.value).endswith(f'and "{GMSA}" = "a\\"b\\\\"')


def test_the_same_text_is_no_conflict_but_another_of_the_same_meaning_is() -> None:
    assert expand({UNSAFE: "true", GMSA: "true"})[GMSA] == "true"
    with pytest.raises(ShimError, match="annotation expansion conflict"):
        expand({UNSAFE: "true", GMSA: "1"})


@pytest.mark.parametrize(("disabled", "wanted"), [("false", "true"), ("true", "false"), ("x", "1")])
def test_host_process_conflicts_only_if_both_are_true(disabled: Any, wanted: Any) -> None:
    expand({NO_HPC: disabled, HPC: wanted})


def test_what_is_a_boolean() -> None:
    assert {text for text in ("1", "t", "T", "TRUE", "true", "True") if boolean(text)} == {
        "1", "t", "T", "TRUE", "true", "True",
    }  # fmt: skip
    assert all(boolean(text) is False for text in ("0", "f", "F", "FALSE", "false", "False"))
    assert all(boolean(text) is None for text in ("", "yes", "tRUE", " true", "2"))


@given(strategies.dictionaries(strategies.text(), strategies.text()), strategies.text())
def test_expansion_keeps_what_was_there(annotations: Any, value: Any) -> None:
    annotations = {k: v for k, v in annotations.items() if k not in EXPANSIONS[UNSAFE]}
    expanded = expand({**annotations, UNSAFE: value} if boolean(value) is None else annotations)
    assert all(expanded[key] == annotations[key] for key in annotations if key != UNSAFE)


def test_options_become_annotations_that_do_not_override() -> None:
    options = Options(
        boot_files_root_path="C:\\boot",
        vm_processor_count=2,
        vm_memory_size_in_mb=1024,
        NCProxyAddr="\\\\.\\pipe\\ncproxy",
        default_container_annotations={"a": "option", "b": "option"},
    )
    assert merge({"a": "own"}, options) == {
        "io.microsoft.virtualmachine.bootfilesrootpath": "C:\\boot",
        "io.microsoft.virtualmachine.computetopology.processor.count": "2",
        "io.microsoft.virtualmachine.computetopology.memory.sizeinmb": "1024",
        "io.microsoft.network.ncproxy": "\\\\.\\pipe\\ncproxy",
        "a": "own",
        "b": "option",
    }
    assert merge(None, options)["a"] == "option"
    own = {"io.microsoft.virtualmachine.bootfilesrootpath": "D:\\mine"}
    assert merge(own, options)["io.microsoft.virtualmachine.bootfilesrootpath"] == "D:\\mine"


def test_options_that_say_nothing_add_nothing() -> None:
    assert merge(None, None) == {}
    assert merge(None, Options()) == {}
    assert merge({"a": "b"}, Options(debug=True, share_scratch=True)) == {"a": "b"}


def test_the_time_zone_option_has_an_effect() -> None:
    key = "io.microsoft.virtualmachine.wcow.timezone.noinherit"
    assert merge(None, Options(no_inherit_host_timezone=True)) == {key: "true"}
    assert merge({key: "false"}, Options(no_inherit_host_timezone=True)) == {key: "false"}
