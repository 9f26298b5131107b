"""Has cases played: starts `stage` under Wine and reads what it wrote."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from windows.winebox import Box
from windows.winebox.box import incidents
from windows.winebox.cases import LOST

_TESTS = Path(__file__).resolve().parents[2]
OURS = r"C:\Python\Scripts\containerd-shim-runhcs-v1.exe"


def play(
    box: Box,
    executable: str,
    names: Sequence[str],
    folder: Path,
    *,
    together: int = 3,
    timeout: float = 900.0,
) -> dict[str, dict[str, Any]]:
    """Play cases against one executable, in one Windows process.

    Cases of which Wine may have lost a process (`winebox.cases`) are played once more.

    Args:
        box: where.
        executable: Windows path of the shim.
        names: of the cases.
        folder: for files that are needed meanwhile.
        together: how many cases at a time.
        timeout: seconds for all of them.

    Returns:
        For each case `{"observation": ...}`, or `{"failure": text}` if it could not be played.

    Raises:
        RuntimeError: The program itself failed.
    """

    def stage(chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
        return _stage(box, executable, chosen, folder, together, timeout)

    played = stage(names)
    if lost := [name for name, one in played.items() if LOST.search(one.get("failure", ""))]:
        incidents.append(f"played again: {', '.join(lost)}: {played[lost[0]]['failure']}")
        played |= stage(lost)
    return played


def _stage(
    box: Box, executable: str, names: Sequence[str], folder: Path, together: int, timeout: float
) -> dict[str, dict[str, Any]]:
    mark = secrets.token_hex(4)
    job, output = folder / f"job-{mark}.json", folder / f"played-{mark}.jsonl"
    order = {
        "executable": executable,
        "cases": list(names),
        "together": together,
        "output": box.windows_path(output),
    }
    job.write_text(json.dumps(order), encoding="utf-8")
    with box.session() as session:
        done = session.run_through(
            ["python", "-m", "windows.compare.stage", box.windows_path(job)],
            env={"PYTHONPATH": box.windows_path(_TESTS)},
            cwd=folder,
            timeout=timeout,
        )
    if done.returncode:
        raise RuntimeError(f"the stage failed: {done.stderr.decode(errors='replace')[-4000:]}")
    lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return {line.pop("case"): line for line in lines}
