"""A VM that takes every change, or refuses some, and remembers them all."""

import json
from collections.abc import Callable, Mapping
from typing import Any  # parsed JSON documents

from podshim.engines.hcs.vm.modify import Modifier
from podshim.errors import ShimError

Document = dict[str, Any]


class FakeMachine:
    """A VM and its guest.

    Changes are kept in `log` as (`host` or `guest`, document). `refuse` says of a change whether it
    is refused.
    """

    def __init__(self, *, guest: bool = True) -> None:
        self.log: list[tuple[str, Document]] = []
        self.refuse: Callable[[str, Document], bool] = lambda _side, _document: False
        self.modifier = Modifier(_Side(self, "host"), _Side(self, "guest") if guest else None)

    def take(self) -> list[tuple[str, Document]]:
        """The changes since the last time."""
        log, self.log = self.log, []
        return log

    def sides(self) -> list[tuple[str, str]]:
        """The same, short: whose, and which kind."""
        return [(side, str(document.get("RequestType"))) for side, document in self.take()]


class _Side:
    def __init__(self, machine: FakeMachine, name: str) -> None:
        self._machine, self._name = machine, name

    async def modify(self, settings: Mapping[str, object] | str) -> None:
        document = json.loads(settings) if isinstance(settings, str) else dict(settings)
        self._machine.log.append((self._name, document))
        if self._machine.refuse(self._name, document):
            raise ShimError(f"the {self._name} refuses")
