"""The annotations of a bundle's `config.json`, all that `start` reads of it.

Theory of operation. The file is a stream whose first JSON value counts; what follows it is not
looked at, and neither is any member of the value but `annotations`. Nothing else of the spec can
make a `start` fail: that is for `Create` to judge.

Pure, and light: `start` runs it.
"""

from podshim.hcsspec.configfile import first_value


class SpecError(ValueError):
    """The text is no spec."""


def annotations(text: bytes) -> "dict[str, str]":
    """Read the annotations; null is an empty map, or an empty text.

    Args:
        text: The content of `config.json`.

    Raises:
        SpecError: It does not begin with a JSON object, or its annotations are no map of strings.
    """
    spec = _first_value(text)
    if spec is None:
        return {}
    if not isinstance(spec, dict):
        raise _error("the spec is not an object")
    found = spec.get("annotations")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _error("annotations is not an object")
    for key, value in found.items():
        if not isinstance(value, str | None):
            raise _error(f"the annotation {key!r} is not a string")
    return {key: value or "" for key, value in found.items()}


def _first_value(text: bytes) -> object:
    try:
        return first_value(text)
    except ValueError as error:
        raise _error(str(error)) from error


def _error(detail: str) -> SpecError:
    return SpecError(f"failed to deserialize valid OCI spec: {detail}")
