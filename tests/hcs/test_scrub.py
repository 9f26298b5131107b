"""Secrets in documents that go into logs."""

import json

from hypothesis import given, strategies

from podshim.hcsspec.scrub import scrubbed

SECRET = "hunter2"


def test_values_of_secret_members_go_their_names_stay() -> None:
    document = {
        "CommandLine": "cmd /c ver",
        "Environment": {"TOKEN": SECRET, "PATH": SECRET},
        "process": {"env": [f"TOKEN={SECRET}", SECRET]},
        "annotations": {"key": SECRET},
        "Container": {"ContainerCredentialGuard": {"Cookie": SECRET, "CredentialSpec": SECRET}},
        "Credentials": SECRET,
        "windows": {"credentialSpec": {"deep": {"er": SECRET}}},
        "Number": 5,
        "Null": {"Environment": None},
    }
    text = scrubbed(json.dumps(document))
    assert SECRET not in text
    shown = json.loads(text)
    assert shown["CommandLine"] == "cmd /c ver"
    assert shown["Environment"] == {"TOKEN": "<scrubbed>", "PATH": "<scrubbed>"}
    assert shown["process"]["env"] == ["<scrubbed>", "<scrubbed>"]
    assert shown["Number"] == 5
    assert shown["Null"] == {"Environment": None}


def test_documents_within_texts_are_scrubbed_too() -> None:
    inner = json.dumps({"Environment": {"TOKEN": SECRET}})
    text = scrubbed(json.dumps({"ProcessParameters": inner}))
    assert json.loads(json.loads(text)["ProcessParameters"]) == {
        "Environment": {"TOKEN": "<scrubbed>"}
    }


def test_what_is_no_document_is_not_shown() -> None:
    assert scrubbed("") == ""
    assert scrubbed(f'{{"Environment": "{SECRET}"') == "<scrubbed>"
    assert scrubbed(f"TOKEN={SECRET}") == "<scrubbed>"
    assert SECRET not in scrubbed("[" * 150 + f'"{SECRET}"' + "]" * 150)
    assert SECRET not in scrubbed("[" * 100_000 + f'"{SECRET}"')


def test_switched_off_everything_is_shown() -> None:
    text = f'{{"Environment": {{"TOKEN": "{SECRET}"}}'
    assert scrubbed(text, enabled=False) == text


values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: (
        strategies.lists(inner)
        | strategies.dictionaries(strategies.sampled_from(["a", "B", "list"]), inner)
    ),
)


@given(values)
def test_without_secrets_nothing_changes(value: object) -> None:
    if isinstance(value, str) or "[" in json.dumps(value) or "{" in json.dumps(value):
        return
    assert json.loads(scrubbed(json.dumps(value))) == value


@given(values)
def test_secrets_never_show(value: object) -> None:
    hidden = scrubbed(json.dumps({"x": [{"ENVIRONMENT": value}], "Annotations": {"k": SECRET}}))
    assert SECRET not in hidden
