"""Which containerd with which runtime: the fixtures of the end-to-end suites.

Every test of this folder runs with each pair of `_pairs`: Debian 12's containerd with its own shim
(the control: it shows that the test is right) and with ours on runc and on crun; and, for the tests
marked `core`, Debian 13's with ours. `--containerd VERSION` chooses another containerd for all.

One daemon per containerd serves those tests of a file that don't kill it (`containerd`); a test
that does takes `own_containerd`. Each test has a containerd namespace of its own, empty at its end.
"""

import re
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from support import census
from support.box import Box
from support.containerd import CONTROL, CRUN, RUNC, Containerd, Runtime
from support.software import Installation, installation, missing_programs
from support.waiting import eventually

_SYSTEM, _NEXT = "system", "debian13"

#: Debian 12's own shim loses the output of one exec in some 150 when the machine is busy (ours of
#: none): the control has shown that a test is right once it has passed.
_LOSES_OUTPUT = pytest.mark.flaky(reruns=2)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "core: also with the second containerd")
    config.addinivalue_line("markers", "ours: about podshim's shim alone, without the control")


def _pairs(chosen: str, *, core: bool, ours: bool) -> list[tuple[str, Runtime]]:
    if chosen:
        return [(chosen, RUNC)]
    pairs = [(_SYSTEM, RUNC), (_SYSTEM, CRUN)]
    if not ours:
        pairs.insert(0, (_SYSTEM, CONTROL))
    if core:
        pairs.append((_NEXT, RUNC))
    return pairs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        chosen = metafunc.config.getoption("--containerd")
        pairs = _pairs(chosen, core="core" in marks, ours="ours" in marks)
        values = [
            pytest.param(
                (name, runtime),
                id=f"{name}-{runtime.name}",
                marks=[_LOSES_OUTPUT] if runtime is CONTROL else [],
            )
            for name, runtime in pairs
        ]
        metafunc.parametrize("pair", values, scope="module")


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[str, Runtime]:
    value: tuple[str, Runtime] = request.param
    return value


@pytest.fixture(scope="module")
def runtime(pair: tuple[str, Runtime]) -> Runtime:
    return pair[1]


@pytest.fixture(scope="session")
def find(private_world: None, lacking: Callable[[str], NoReturn]) -> Callable[[str], Installation]:
    """Find a containerd, or end the test."""

    def find(name: str) -> Installation:
        if programs := missing_programs():
            lacking(f"these programs: {', '.join(programs)}")
        found = installation(name)
        if found is None:
            how = "containerd" if name == _SYSTEM else f"scripts/get-containerd {name}"
            lacking(f"{name}'s containerd: {how}")
        return found

    return find


@pytest.fixture(scope="module")
def daemons(
    find: Callable[[str], Installation],
) -> Iterator[Callable[[str], Containerd]]:
    """The daemons that tests share, each started when first asked for."""
    running: dict[str, Containerd] = {}
    with ExitStack() as stack:

        def daemon(name: str) -> Containerd:
            if name not in running:
                running[name] = stack.enter_context(Containerd(find(name)))
                running[name].start()
            return running[name]

        yield daemon


@pytest.fixture
def containerd(pair: tuple[str, Runtime], daemons: Callable[[str], Containerd]) -> Containerd:
    """A running daemon that other tests use too."""
    return daemons(pair[0])


@pytest.fixture
def own_containerd(
    pair: tuple[str, Runtime], find: Callable[[str], Installation]
) -> Iterator[Containerd]:
    """A running daemon of the test's own, to be killed at will."""
    with Containerd(find(pair[0])) as daemon:
        daemon.start()
        daemon.load_images(daemon.tag)
        yield daemon


@pytest.fixture
def namespace(request: pytest.FixtureRequest, containerd: Containerd) -> Iterator[str]:
    """A containerd namespace with the images; at the end nothing of it may be left."""
    words = re.findall(r"[a-z0-9]+", request.node.name)
    # Of its own also when the control is run again.
    name = "-".join([containerd.tag, *words])[:70].rstrip("-") + f"-{secrets.token_hex(2)}"
    containerd.load_images(name)
    yield name
    left = containerd.ctr("container", "ls", "--quiet", namespace=name).stdout.split()
    assert not left, f"containers left in {name}: {left}"

    def gone() -> bool:
        bundles = containerd.bundle(name, "any").parent
        assert not census.mounts_below(bundles)
        assert not bundles.is_dir() or not list(bundles.iterdir())
        mine = [shim for shim in census.shims().values() if name.encode() in shim.words]
        assert not mine
        return True

    eventually(gone, f"nothing of {name} is left")


@pytest.fixture
def box(containerd: Containerd, runtime: Runtime, namespace: str) -> Box:
    """The shared daemon, the runtime and the test's namespace together."""
    return Box(containerd, runtime, namespace)


@pytest.fixture
def own_box(own_containerd: Containerd, runtime: Runtime) -> Box:
    """A daemon of the test's own."""
    return Box(own_containerd, runtime, own_containerd.tag)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for daemon in getattr(item, "funcargs", {}).values():
        if isinstance(daemon, Containerd) and report.failed:
            report.sections.append(("containerd's log", daemon.tail()))
    return report
