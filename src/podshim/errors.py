"""The few errors of podshim, each with the status code that containerd gets to see.

Theory of operation: code raises what went wrong as what it is, where it went wrong, and lets it
rise. Only the edge of a service turns an exception into a wire status, by `status_of`. The texts
follow containerd's convention, `<detail>: <class text>`, because containerd, CRI and Docker match
on them; an error without a class (`ShimError` itself) has code UNKNOWN and its bare text.

This module imports nothing but `enum`: everything in the package may import it.
"""

from enum import IntEnum


class Code(IntEnum):
    """Status codes of gRPC and ttrpc (google.rpc.Code)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ShimError(Exception):
    """An operation failed for a reason that has no class of its own, such as a runtime's refusal.

    Args:
        detail: What failed and why, in a sentence without the class text.
    """

    code = Code.UNKNOWN
    class_text = ""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail}: {self.class_text}" if self.class_text else self.detail


class InvalidArgumentError(ShimError):
    """The caller sent something that can never be right: a bad id, a broken spec, a wrong type."""

    code = Code.INVALID_ARGUMENT
    class_text = "invalid argument"


class NotFoundError(ShimError):
    """What the caller names does not exist, or has already ended."""

    code = Code.NOT_FOUND
    class_text = "not found"


class AlreadyExistsError(ShimError):
    """The id that the caller wants to give is taken."""

    code = Code.ALREADY_EXISTS
    class_text = "already exists"


class PermissionDeniedError(ShimError):
    """The kernel or a peer check refused the operation."""

    code = Code.PERMISSION_DENIED
    class_text = "permission denied"


class ResourceExhaustedError(ShimError):
    """A limit was hit: a message too large, a queue full, no memory or descriptors left."""

    code = Code.RESOURCE_EXHAUSTED
    class_text = "resource exhausted"


class FailedPreconditionError(ShimError):
    """The object is in a state in which the operation makes no sense."""

    code = Code.FAILED_PRECONDITION
    class_text = "failed precondition"


class UnimplementedError(ShimError):
    """The engine, or this build, does not know the operation."""

    code = Code.UNIMPLEMENTED
    class_text = "not implemented"


class UnavailableError(ShimError):
    """The shim is going away, or something that it needs is not there now: try again later."""

    code = Code.UNAVAILABLE
    class_text = "unavailable"


class DeadlineExceededError(ShimError):
    """An operation did not end in its time; what it had begun has been ended or undone."""

    code = Code.DEADLINE_EXCEEDED
    class_text = "context deadline exceeded"


def status_of(error: BaseException) -> tuple[Code, str]:
    """Translate an exception to a status code and its message.

    Args:
        error: Whatever a handler raised. An error that carries a `code` keeps it; the errors of
            the operating system map as Go's ttrpc server maps them; anything else is UNKNOWN.

    Returns:
        The code and the text, the text never empty.
    """
    text = str(error) or type(error).__name__
    code = getattr(error, "code", None)
    if isinstance(code, Code):
        return code, text
    if isinstance(error, FileNotFoundError):
        return Code.NOT_FOUND, text
    if isinstance(error, FileExistsError):
        return Code.ALREADY_EXISTS, text
    if isinstance(error, PermissionError):
        return Code.PERMISSION_DENIED, text
    if isinstance(error, TimeoutError):
        return Code.DEADLINE_EXCEEDED, text
    return Code.UNKNOWN, text
