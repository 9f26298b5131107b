"""Which events a Windows guest forwards: ETW providers, by name and GUID; pure.

Theory of operation. The guest's log service takes a document in base64 that lists sources, each
with providers. An annotation may name some; the usual ones for containers come along unless told
not to, and what is asked for overrules them. The service finds providers by GUID, so those of
well-known names are added; an agent that judges them by a policy goes by names, so there they are
left out where the name says it all.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from typing import TYPE_CHECKING

from podshim.engines.hcs.documents.jsontext import dumps, present
from podshim.errors import InvalidArgumentError, ShimError
from podshim.hcsspec.annotations import guid
from podshim.hcsspec.reading import Member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podshim.engines.hcs.documents.jsontext import Json

_log = logging.getLogger(__name__)

_ETW = "ETW"
_LEVEL = "Information"
#: The providers that are forwarded unless told otherwise, in order; names in lower case.
DEFAULTS: Mapping[str, str] = {
    "microsoft.windows.hyperv.compute": "80ce50de-d264-4581-950d-abadeee0d340",
    "microsoft-windows-guest-network-service": "0bacf1d2-fb51-549a-6119-04daa7180dc8",
    "microsoft.windows.filesystem.cimfs": "772ff917-30cf-50bd-d471-55a093ea8cf8",
    "microsoft.windows.filesystem.unionfs": "68d6ffd0-365a-579d-6d26-76b2a0af1ddc",
    "microsoft-windows-bitlocker-driver": "651df93b-5053-4d1e-94c5-f6e6d25908d0",
    "microsoft-windows-bitlocker-api": "5d674230-ca9f-11da-a94d-0800200c9a66",
    "microsoft.windows.security.keyguard": "37e53459-522d-5f7d-9a19-ecfd819075c2",
    "microsoft.windows.security.keyguard.attestation.verify": (
        "268833e4-8305-5640-ecee-0f30f10668be"
    ),
    "microsoft.windows.containers.setup": "22267b1c-b979-5c81-9e24-0db386a62dd1",
    "microsoft.windows.containers.storage": "2551390d-5927-5c84-6f0a-027a7e78d38d",
    "microsoft.windows.containers.library": "67eb0417-9297-42ae-a1d9-98bfeb359059",
    "microsoft.windows.containers.dynamicimage": "8ce2286c-3705-4a2a-8e36-134eae9ca147",
    "microsoft.windows.logforwardservice.provider": "396a26ff-fb73-5465-0d17-dd4930896239",
}


def sources(asked: str, *, defaults: bool, by_name: bool) -> str:
    """The log service's settings.

    Args:
        asked: The sources that are asked for: JSON in base64; empty for none.
        defaults: Whether the usual providers are forwarded too.
        by_name: Whether a policy judges providers by their names.

    Raises:
        ShimError: What is asked for can't be read.
    """
    try:
        wanted = _read(asked) if asked else []
        merged = _merged(_default_sources() if defaults else [], wanted)
        for source in merged:
            providers = source["providers"]
            if isinstance(providers, list):
                source["providers"] = [_identified(one, by_name=by_name) for one in providers]
    except InvalidArgumentError as error:
        raise ShimError(f"failed to parse log sources: {error.detail}") from None
    text = dumps({"LogConfig": {"sources": merged}})
    return base64.b64encode(text.encode()).decode("ascii")


def _default_sources() -> list[Json]:
    providers = [{"providerName": name, "level": _LEVEL} for name in DEFAULTS]
    return [{"type": _ETW, "providers": providers}]


def _read(asked: str) -> list[Json]:
    """The sources of a document.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        document = json.loads(base64.b64decode(asked, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"not JSON in base64: {error}") from None
    top = Member(document, document="log sources")
    config = top["LogConfig"] if top["LogConfig"].present else top["logConfig"]
    return [
        {
            "type": source["type"].text(),
            "providers": [_provider(one) for one in source["providers"].objects()],
        }
        for source in config["sources"].objects()
    ]


def _provider(provider: Member) -> Json:
    return present(
        {
            "providerName": provider["providerName"].text(),
            "providerGuid": provider["providerGuid"].text(),
            "level": provider["level"].text(),
            "keywords": provider["keywords"].text(),
        }
    )


def _merged(first: list[Json], then: Sequence[Json]) -> list[Json]:
    """Both, sources of one type united; of one provider the later entry counts."""
    merged = list(first)
    for source in then:
        same = next((one for one in merged if one["type"] == source["type"]), None)
        if same is None:
            merged.append(dict(source))
            continue
        united = {}
        for entry in (same, source):
            listed = entry["providers"]
            for provider in listed if isinstance(listed, list) else []:
                united[provider.get("providerName"), provider.get("providerGuid")] = provider
        same["providers"] = list(united.values())
    return merged


def _identified(provider: Json, *, by_name: bool) -> Json:
    """A provider with the GUID of its name, or by a name that says it all without.

    Raises:
        InvalidArgumentError: Its GUID is none.
    """
    name, given = str(provider.get("providerName", "")), str(provider.get("providerGuid", ""))
    known = DEFAULTS.get(name.lower(), "")
    identifier = ""
    if given:
        try:
            identifier = str(guid(given.strip().removeprefix("{").removesuffix("}").strip()))
        except ValueError as error:
            raise InvalidArgumentError(f'provider "{name}": {error}') from None
    if by_name and name and identifier:
        # The GUID is the truth: a name that is another's would be judged for it.
        if identifier == known:
            identifier = ""
        else:
            name = ""
    elif not by_name and not identifier:
        identifier = known
        if not known:
            _log.warning("log provider %r has no known GUID: name it with its GUID", name)
    return present({**provider, "providerName": name, "providerGuid": identifier})
