"""The public face: every export exists, is documented, and costs nothing until touched."""

import inspect
import subprocess
import sys

import pytest

import podshim


@pytest.mark.parametrize("name", podshim.__all__)
def test_every_export_is_documented(name: str) -> None:
    value = getattr(podshim, name)
    assert inspect.getdoc(value)
    assert name in dir(podshim)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = podshim.nothing  # type: ignore[attr-defined]  # that is the point


def test_importing_podshim_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import podshim;"
        "print(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == ["podshim"]
