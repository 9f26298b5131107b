"""The program that plays cases on Windows, many in one process.

`python -m windows.compare.stage JOB`: the file JOB holds a JSON object with `executable`, `cases`
(names), `together` (how many at a time) and `output`, a file to which each case's observation is
appended when it is there, as a line `{"case": ..., "observation": ...}` or `{"case", "failure"}`.
"""

import asyncio
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from windows.cases import births
from windows.compare.cases import ALL
from windows.compare.script import Case

assert sys.platform == "win32"

from windows.compare.player import play  # noqa: E402 - after the line that tells where this runs

CASE_LIMIT = 150.0  # seconds for one case
ATTEMPTS = 5
# The original closes its publisher while it publishes, about once in four shutdowns.
CHANCE = ("send on closed channel",)


async def _play_all(job: dict[str, Any]) -> None:
    chosen = [case for case in ALL if case.name in set(job["cases"])]
    queue = [case for case in chosen if not case.slow]
    with Path(job["output"]).open("w", encoding="utf-8") as output:

        async def one(case: Case) -> None:
            begun = time.monotonic()
            line = {"case": case.name, **await _play(case, job["executable"])}
            line["seconds"] = round(time.monotonic() - begun, 2)
            output.write(json.dumps(line) + "\n")
            output.flush()

        async def work() -> None:
            while queue:
                await one(queue.pop(0))

        waiting = [one(case) for case in chosen if case.slow]  # most of their time they do nothing
        await asyncio.gather(*waiting, *(work() for _ in range(job["together"])))


async def _play(case: Case, executable: str) -> dict[str, Any]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            observation = await asyncio.wait_for(play(case, executable), CASE_LIMIT)
        except Exception:  # noqa: BLE001 - whatever it was, the other cases go on
            return {"failure": traceback.format_exc()}
        crashed = any(chance in json.dumps(observation) for chance in CHANCE)
        if not crashed or attempt == ATTEMPTS:
            return {"observation": observation}
    raise AssertionError


if __name__ == "__main__":
    with births.again():
        asyncio.run(_play_all(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
