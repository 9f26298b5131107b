"""What guests log, and which events they are asked for."""

import base64
import json
import logging

import pytest
from hypothesis import given, strategies as st

from hcs.vm_guest_support import Document, pair
from podshim.engines.hcs.vm import guestlog, logsources
from podshim.engines.hcs.vm.guestlog import MAX_LINE, MAX_RAW, LogParser, Record
from podshim.errors import ShimError


def line(**members: object) -> bytes:
    return json.dumps(members).encode() + b"\n"


def test_records() -> None:
    parser = LogParser()
    text = line(level="info", msg="hi", time="t", pid=5) + line(msg="no level")
    assert parser.feed(text[:10]) == []
    assert parser.feed(text[10:]) == [
        Record(logging.INFO, "hi", "t", {"pid": 5}),
        Record(logging.INFO, "no level"),
    ]
    assert parser.end() == []


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("trace", logging.DEBUG),
        ("debug", logging.DEBUG),
        ("Info", logging.INFO),
        ("warning", logging.WARNING),
        ("warn", logging.WARNING),
        ("error", logging.ERROR),
        ("fatal", logging.ERROR),
        ("panic", logging.ERROR),
        ("what", logging.ERROR),
    ],
)
def test_levels(level: str, expected: int) -> None:
    (record,) = LogParser().feed(line(level=level, msg="x"))
    assert record.level == expected


def test_events_of_windows_say_their_messages_elsewhere() -> None:
    (record,) = LogParser().feed(line(Source="ETW", Message="event", msg=""))
    assert (record.message, record.fields) == ("event", {"Source": "ETW"})
    (record,) = LogParser().feed(line(Source="x", Message="event", msg="m"))
    assert (record.message, record.fields["Message"]) == ("m", "event")


def test_last_words_are_kept_together() -> None:
    parser = LogParser()
    assert parser.feed(b"panic: oh\n\ngoroutine 1:\n  main()\n") == []
    (words, record) = parser.feed(line(msg="alive"))
    assert words == Record(
        logging.ERROR, "gcs terminated", "", {"stderr": "panic: oh\ngoroutine 1:\n  main()"}
    )
    assert record.message == "alive"
    parser.feed(b"panic: again")
    (words,) = parser.end()
    assert words.fields == {"stderr": "panic: again"}


@pytest.mark.parametrize("text", [b"5\n", b'"x"\n', b'{"msg": 5}\n', b'{"level": []}\n'])
def test_json_that_is_no_record(text: bytes) -> None:
    parser = LogParser()
    assert parser.feed(text) == []
    (words,) = parser.end()
    assert words.fields == {"stderr": text.decode().strip()}


def test_a_guest_can_not_fill_the_memory() -> None:
    parser = LogParser()
    for _ in range(40):
        parser.feed(b"x" * MAX_LINE)
    (words,) = parser.end()
    assert len(str(words.fields["stderr"])) <= MAX_RAW


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_taken(parts: list[bytes]) -> None:
    parser = LogParser()
    for part in parts:
        parser.feed(part)
    parser.end()


async def test_forwarding(caplog: pytest.LogCaptureFixture) -> None:
    host, guest = pair()
    await guest.write(line(level="warning", msg="careful") + b"panic")
    guest.close()
    with caplog.at_level(logging.DEBUG):
        await guestlog.forward(host, "pod@vm")
    assert "VM pod@vm: careful" in caplog.text
    assert "gcs terminated" in caplog.text


# --- sources


def encoded(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def asked_for(*providers: Document) -> str:
    return encoded({"LogConfig": {"sources": [{"type": "ETW", "providers": list(providers)}]}})


def decoded(text: str) -> list[Document]:
    document = json.loads(base64.b64decode(text))
    assert list(document) == ["LogConfig"]
    found: list[Document] = document["LogConfig"]["sources"]
    return found


def test_the_usual_sources() -> None:
    (source,) = decoded(logsources.sources("", defaults=True, by_name=False))
    assert source["type"] == "ETW"
    assert len(source["providers"]) == 13
    assert source["providers"][0] == {
        "providerName": "microsoft.windows.hyperv.compute",
        "providerGuid": "80ce50de-d264-4581-950d-abadeee0d340",
        "level": "Information",
    }
    (source,) = decoded(logsources.sources("", defaults=True, by_name=True))
    assert source["providers"][0] == {
        "providerName": "microsoft.windows.hyperv.compute",
        "level": "Information",
    }
    assert decoded(logsources.sources("", defaults=False, by_name=False)) == []


def test_sources_that_are_asked_for() -> None:
    asked = asked_for(
        {"providerName": "Microsoft.Windows.HyperV.Compute", "level": "Verbose"},
        {"providerGuid": " {80CE50DE-D264-4581-950D-ABADEEE0D340} ", "keywords": "0x1"},
    )
    (source,) = decoded(logsources.sources(asked, defaults=False, by_name=False))
    identifier = "80ce50de-d264-4581-950d-abadeee0d340"
    assert source["providers"] == [
        {
            "providerName": "Microsoft.Windows.HyperV.Compute",
            "providerGuid": identifier,
            "level": "Verbose",
        },
        {"providerGuid": identifier, "keywords": "0x1"},
    ]


def test_what_is_asked_for_overrules_the_usual() -> None:
    asked = asked_for({"providerName": "microsoft.windows.hyperv.compute", "level": "Error"})
    (source,) = decoded(logsources.sources(asked, defaults=True, by_name=True))
    assert len(source["providers"]) == 13
    assert source["providers"][0]["level"] == "Error"
    other = encoded({"logConfig": {"sources": [{"type": "File", "providers": []}]}})
    kinds = [one["type"] for one in decoded(logsources.sources(other, defaults=True, by_name=True))]
    assert kinds == ["ETW", "File"]


def test_a_policy_judges_the_guid_not_a_name_that_is_another_s() -> None:
    identifier = "11111111-2222-4333-8444-555555555555"
    known = "80ce50de-d264-4581-950d-abadeee0d340"
    name = "microsoft.windows.hyperv.compute"
    asked = asked_for(
        {"providerName": name, "providerGuid": identifier},
        {"providerName": name, "providerGuid": known},
    )
    (source,) = decoded(logsources.sources(asked, defaults=False, by_name=True))
    assert source["providers"] == [{"providerGuid": identifier}, {"providerName": name}]


def test_a_name_without_a_guid(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        logsources.sources(asked_for({"providerName": "mine"}), defaults=False, by_name=False)
    assert "'mine' has no known GUID" in caplog.text


@pytest.mark.parametrize(
    "asked",
    [
        "&&&",
        encoded([]),
        encoded({"LogConfig": {"sources": 5}}),
        asked_for({"providerGuid": "x"}),
        asked_for({"level": 5}),
    ],
)
def test_sources_that_can_not_be_read(asked: str) -> None:
    with pytest.raises(ShimError, match="failed to parse log sources: "):
        logsources.sources(asked, defaults=True, by_name=False)
