"""A bundle's `config.json` as Windows' shims read it: the first JSON value of the file.

What follows that value is not looked at. Pure, and light: `start` runs it.
"""


def first_value(text: bytes) -> object:
    """The JSON value that a text begins with.

    Args:
        text: The content of the file.

    Raises:
        ValueError: It begins with none.
    """
    import json

    decoder = json.JSONDecoder(parse_constant=_no_constant)
    stream = text.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not stream:
        raise ValueError("the file is empty")
    try:
        value: object = decoder.raw_decode(stream)[0]
    except RecursionError as error:
        raise ValueError(str(error)) from error
    return value


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON")
