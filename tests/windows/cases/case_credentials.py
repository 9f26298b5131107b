"""Credential guards of containers over the stand-in."""

import json
import sys
from pathlib import Path

import pytest

assert sys.platform == "win32"

from podshim.engines.hcs.credentials import add_guard  # noqa: E402 - after where this runs
from podshim.engines.hcs.system import Hcs  # noqa: E402
from podshim.errors import ShimError  # noqa: E402
from windows.cases import hcs as standin  # noqa: E402
from windows.cases.engine import service  # noqa: E402

SPEC = '{"CmsPlugins":["ActiveDirectory"]}'
QUERY = '{"PropertyTypes":["ContainerCredentialGuard"]}'


async def known(hcs: Hcs) -> list[str]:
    answer = await hcs.service_properties(QUERY)
    return [instance["Id"] for instance in answer["Properties"][0]["Instances"]]


async def test_a_guard_is_added_found_and_removed(name: str) -> None:
    async with service() as made:
        hcs = Hcs(made)
        guard = await add_guard(hcs, name, SPEC)
        assert guard.document["CredentialSpec"] == SPEC
        assert guard.document["Transport"] == "LRPC"
        assert guard.document["Cookie"]
        assert name in await known(hcs)
        await guard.release()
        assert name not in await known(hcs)
        with pytest.raises(ShimError):
            await guard.release()


async def test_a_guard_of_which_nothing_is_told_is_removed(name: str, tmp_path: Path) -> None:
    async with service() as made:
        hcs = Hcs(made)
        fault = {"call": "HcsGetServiceProperties", "result": "0x80070005"}
        standin.configure(tmp_path, faults=[fault])
        with pytest.raises(ShimError):
            await add_guard(hcs, name, SPEC)
        standin.configure(tmp_path, faults=[])
        assert name not in await known(hcs)


async def test_a_guard_that_is_refused(name: str, tmp_path: Path) -> None:
    async with service() as made:
        answer = json.dumps({"ErrorEvents": [{"Message": "no such account"}]})
        fault = {"call": "HcsModifyServiceSettings", "result": "0x80070005", "answer": answer}
        standin.configure(tmp_path, faults=[fault])
        with pytest.raises(ShimError, match="no such account"):
            await add_guard(Hcs(made), name, SPEC)
