"""The error vocabulary: codes, class texts, and the translation at the edge."""

import pytest

from podshim import errors
from podshim.errors import Code, ShimError, status_of

CLASSES = [
    (errors.InvalidArgumentError, 3, "invalid argument"),
    (errors.DeadlineExceededError, 4, "context deadline exceeded"),
    (errors.NotFoundError, 5, "not found"),
    (errors.AlreadyExistsError, 6, "already exists"),
    (errors.PermissionDeniedError, 7, "permission denied"),
    (errors.ResourceExhaustedError, 8, "resource exhausted"),
    (errors.FailedPreconditionError, 9, "failed precondition"),
    (errors.UnimplementedError, 12, "not implemented"),
    (errors.UnavailableError, 14, "unavailable"),
]


@pytest.mark.parametrize(("kind", "code", "text"), CLASSES)
def test_a_class_gives_its_code_and_text(kind: type[ShimError], code: int, text: str) -> None:
    assert status_of(kind("container not created")) == (code, f"container not created: {text}")


def test_every_class_is_in_the_table() -> None:
    classes = {kind for kind in ShimError.__subclasses__() if kind.__module__ == errors.__name__}
    assert {kind for kind, _, _ in CLASSES} == classes


def test_an_error_without_a_class_keeps_its_bare_text() -> None:
    error = ShimError("cannot delete a running process")
    assert status_of(error) == (Code.UNKNOWN, "cannot delete a running process")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), Code.NOT_FOUND),
        (FileExistsError(17, "File exists", "/x"), Code.ALREADY_EXISTS),
        (PermissionError(13, "Permission denied", "/x"), Code.PERMISSION_DENIED),
        (TimeoutError("too slow"), Code.DEADLINE_EXCEEDED),
        (RuntimeError("odd"), Code.UNKNOWN),
        (OSError(5, "Input/output error", "/x"), Code.UNKNOWN),
    ],
)
def test_other_errors_translate_as_in_go(error: Exception, code: Code) -> None:
    assert status_of(error) == (code, str(error))


def test_a_text_is_never_empty() -> None:
    assert status_of(KeyboardInterrupt()) == (Code.UNKNOWN, "KeyboardInterrupt")


def test_a_foreign_code_attribute_is_no_status() -> None:
    error = SystemExit(3)
    assert status_of(error) == (Code.UNKNOWN, "3")
