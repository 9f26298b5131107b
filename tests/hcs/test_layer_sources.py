"""What layers a request names."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies

from podshim.engine import Mount
from podshim.engines.hcs.layers.sources import BlockCim, ForkedCim, WcifsLayers, layers_of
from podshim.errors import FailedPreconditionError, InvalidArgumentError, ShimError
from podshim.hcsspec.reading import Member

S = "C:\\scratch"


def read(*rootfs: Mount, folders: Any = None) -> Any:
    return layers_of(rootfs, Member({"layerFolders": folders}))


def mount(kind: str, *options: str, target: str = "") -> Mount:
    return Mount(kind, S, target, options)


def paths(flag: str, *values: str) -> str:
    return f"{flag}={json.dumps(values)}"


def test_folders_end_in_the_scratch() -> None:
    assert read(folders=["top", "base", S]) == WcifsLayers(S, ("top", "base"))


@pytest.mark.parametrize(
    ("rootfs", "folders", "text"),
    [
        (
            [mount("windows-layer")],
            ["a", "b"],
            "cannot pass both a rootfs mount and Windows.LayerFolders",
        ),
        ([], [], "must pass either a rootfs mount or Windows.LayerFolders"),
        ([], None, "must pass either a rootfs mount or Windows.LayerFolders"),
        ([mount("x"), mount("y")], None, "expected a single rootfs mount"),
        (
            [mount("windows-layer", target="C:\\t")],
            None,
            "rootfs mount must not have a Target path",
        ),
        ([], ["a"], "must pass at least two Windows.LayerFolders"),
    ],
)
def test_what_no_container_can_be_made_of(rootfs: Any, folders: Any, text: str) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        read(*rootfs, folders=folders)
    assert str(caught.value) == f"{text}: failed precondition"


def test_mounts_of_each_type() -> None:
    parents = paths("parentLayerPaths", "top", "base")
    cims = paths("parentCimPaths", "C:\\c\\top.cim", "C:\\c\\base.cim")
    assert read(mount("windows-layer", "rw", parents)) == WcifsLayers(S, ("top", "base"))
    assert read(mount("CimFS", parents, cims)) == ForkedCim(
        S, ("top", "base"), ("C:\\c\\top.cim", "C:\\c\\base.cim")
    )
    one = paths("parentCimPaths", "D\\a.cim")
    assert read(mount("BlockCIM", one, "blockCIMType=device")) == BlockCim(
        S, ("D\\a.cim",), on_device=True
    )
    merged = mount("BlockCIM", cims, "blockCIMType=file", "mergedCIMPath=C:\\m\\m.cim", "other")
    assert read(merged) == BlockCim(
        S, ("C:\\c\\top.cim", "C:\\c\\base.cim"), on_device=False, merged="C:\\m\\m.cim"
    )


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (mount("bind"), "invalid windows mount type: 'bind'"),
        (
            mount("CimFS", paths("parentLayerPaths", "a"), paths("parentCimPaths", "b", "c")),
            "invalid mount, number of parent layer paths & cim paths should be same",
        ),
        (mount("CimFS"), "need at least 1 parent layer"),
        (mount("BlockCIM"), "need at least 1 parent layer"),
        (mount("BlockCIM", "blockCIMType="), "invalid block CIM type ``"),
        (mount("BlockCIM", paths("parentCimPaths", "a")), "BlockCIM type not provided"),
        (
            mount("BlockCIM", paths("parentCimPaths", "a"), "blockCIMType=tape"),
            "invalid block CIM type `tape`",
        ),
        (
            mount("BlockCIM", paths("parentCimPaths", "a", "b"), "blockCIMType=file"),
            "merged CIM path not provided",
        ),
        (
            mount("windows-layer", "parentLayerPaths=[5]"),
            "failed to unmarshal option `parentLayerPaths=`: it must be a list of strings",
        ),
        (
            mount("windows-layer", "parentLayerPaths={}"),
            "failed to unmarshal option `parentLayerPaths=`: it must be a list of strings",
        ),
        (
            mount("windows-layer", "parentLayerPaths="),
            (
                "failed to unmarshal option `parentLayerPaths=`: Expecting value:"
                " line 1 column 1 (char 0)"
            ),
        ),
    ],
)
def test_mounts_that_can_not_be_layers(wrong: Mount, text: str) -> None:
    with pytest.raises(ShimError) as caught:
        read(wrong)
    assert str(caught.value) == text


def test_paths_with_a_nul_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        read(Mount("windows-layer", "C:\\a\0b"))
    with pytest.raises(ShimError):
        read(mount("windows-layer", 'parentLayerPaths=["C:\\\\a\\u0000b"]'))
    with pytest.raises(InvalidArgumentError):
        read(folders=["a", "b\0"])


def test_folders_of_another_type_are_refused() -> None:
    for wrong in ("a", {"a": 1}, [1, 2], 5):
        with pytest.raises(InvalidArgumentError, match="layerFolders"):
            read(folders=wrong)


@given(strategies.sampled_from(["windows-layer", "CimFS", "BlockCIM"]), strategies.text())
def test_no_option_breaks_the_reader(kind: str, text: str) -> None:
    for flag in ("parentLayerPaths=", "parentCimPaths=", "blockCIMType=", "mergedCIMPath="):
        try:
            read(mount(kind, flag + text, text))
        except ShimError:
            continue
