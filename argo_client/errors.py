"""What can go wrong between us and an Argo server, by meaning.

    ArgoError
    ├── NoWaitingNode             no waiting node matches the selector            final
    ├── BadSelector               Argo cannot read the selector                   final
    ├── NotFound                  no such workflow, template, namespace           final
    ├── Unauthorized              the token is missing, wrong or expired          final
    ├── Forbidden                 the token may not do this                       final
    ├── Refused                   Argo says no, in its own words                  final
    │   ├── OutputRefused         the outputs do not fit what the node declares   final
    │   └── ResourceVersionTooOld a stream must begin again from a list           final
    ├── LostRace                  others wrote at the same time; not done         retryable
    ├── Throttled                 too many requests; not done                     retryable
    ├── Unavailable               not reached, or a read that broke off           retryable
    ├── NotArgo                   something else answers at this address          final
    │   └── UnexpectedAnswer      JSON, but not of the shape that Argo sends      final
    └── Unclear                   a write that may or may not have been done      ambiguous

Argo says several of these with the same status 500, so they are told apart by its texts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Again(StrEnum):
    """Whether a call is worth repeating."""

    FINAL = "final"
    RETRYABLE = "retryable"
    AMBIGUOUS = "ambiguous"  # look before you repeat


class ArgoError(Exception):
    """The root. `str()` is a sentence for people; it never holds a token."""

    again: ClassVar[Again] = Again.FINAL
    meaning: ClassVar[str] = "Argo did not do this."

    def __init__(
        self, argo_message: str = "", *, method: str = "", path: str = "", status: int | None = None
    ) -> None:
        super().__init__(argo_message, method, path, status)
        self.argo_message = argo_message
        self.method = method
        self.path = path
        self.status = status

    def __str__(self) -> str:
        return f"{self.meaning} ({self.argo_message})" if self.argo_message else self.meaning


class NoWaitingNode(ArgoError):
    meaning = "No waiting node matches any more."


class BadSelector(ArgoError):
    meaning = "Argo cannot read this selector."


class NotFound(ArgoError):
    meaning = "Argo does not know this workflow."


class Unauthorized(ArgoError):
    meaning = "Argo does not accept our token."


class Forbidden(ArgoError):
    meaning = "Argo does not allow this with our token."


class Refused(ArgoError):
    meaning = "Argo refuses this."


class OutputRefused(Refused):
    meaning = "The outputs do not fit what the node declares."


class ResourceVersionTooOld(Refused):
    meaning = "The stream cannot go on from this version."


class LostRace(ArgoError):
    again = Again.RETRYABLE
    meaning = "Others wrote to this workflow at the same time, so Argo did not do it."


class Throttled(ArgoError):
    again = Again.RETRYABLE
    meaning = "Argo is busy and asks us to slow down."
    #: seconds, where Argo or a proxy named them
    retry_after: float | None = None


class Unavailable(ArgoError):
    again = Again.RETRYABLE
    meaning = "Argo is not available."


class NotArgo(ArgoError):
    meaning = "What answers at this address is not an Argo server."


class UnexpectedAnswer(NotArgo):
    """`argo_message` is the path of the member that is missing or of another type."""

    meaning = "Argo's answer has not the shape that we know."


class Unclear(ArgoError):
    again = Again.AMBIGUOUS
    meaning = "Argo gave no clear answer."


_NO_WAITING_NODE = "currently, set only targets suspend nodes: no suspend nodes matching"
_LOST_RACE = "timed out waiting for the condition"
_TOO_OLD = "too old resource version"
_BAD_SELECTOR = ("invalid selector:", "invalid field selector:")
_OUTPUT_TEXTS = (
    "node is not expecting output parameter",
    "cannot set output parameters because node is not expecting",
    "has not been set and does not have a default value",
    "it was already set",
)
#: 500s that say no and have written nothing.
_REFUSALS = (
    "cannot shutdown a completed workflow",
    "expected parameter of the form",
    "invalid resource name",
    "runtime error: invalid memory address",
)
#: The gateway did not reach the server behind it; other 503s may come in the middle of a call.
_NOT_REACHED = "Error while dialing"
#: Said by Kubernetes when somebody else's write came first.
_CONFLICT = "the object has been modified"
_BY_STATUS: dict[int, type[ArgoError]] = {
    401: Unauthorized,
    403: Forbidden,
    429: Throttled,
    501: NotArgo,
}


def from_answer(status: int, *, argo_message: str | None, method: str, path: str, writes: bool) -> ArgoError:
    """The error behind an answer of 400 or more. `argo_message` is Argo's text, None when the body was not
    Argo's JSON; `writes` tells whether the call could have changed something."""
    kind = _kind(status, argo_message, writes=writes)
    text = argo_message if argo_message is not None else f"HTTP {status} without an answer in Argo's form"
    return kind(text, method=method, path=path, status=status)


def _kind(status: int, argo_message: str | None, *, writes: bool) -> type[ArgoError]:
    if argo_message is not None and (known := _kind_by_text(argo_message)):
        return known
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 404 and argo_message is not None:
        return NotFound
    if status >= 500:
        return Unclear if writes else Unavailable
    return Refused if argo_message is not None else NotArgo


def _kind_by_text(text: str) -> type[ArgoError] | None:
    if text.startswith(_NO_WAITING_NODE):
        return NoWaitingNode
    if text == _LOST_RACE or _CONFLICT in text:
        return LostRace
    if _NOT_REACHED in text:
        return Unavailable
    if text.startswith(_TOO_OLD):
        return ResourceVersionTooOld
    if text.startswith(_BAD_SELECTOR):
        return BadSelector
    if any(part in text for part in _OUTPUT_TEXTS):
        return OutputRefused
    return Refused if text.startswith(_REFUSALS) else None
