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
from typing import Any, ClassVar


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
        super().__init__(argo_message)
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
    meaning = "Argo knows nothing by this name."


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


#: What Argo's texts begin with, and what they mean. Each 500 among them says no and has written nothing.
_BEGINNINGS: tuple[tuple[str, type[ArgoError]], ...] = (
    ("currently, set only targets suspend nodes: no suspend nodes matching", NoWaitingNode),
    ("invalid selector:", BadSelector),
    ("invalid field selector:", BadSelector),
    ("too old resource version", ResourceVersionTooOld),
    ("The resourceVersion for the provided watch is too old", ResourceVersionTooOld),
    ("node is not expecting output parameter", OutputRefused),
    ("cannot set output parameter", OutputRefused),
    ("timed out waiting for the condition: raw output parameter", OutputRefused),
    ("'set' currently only targets suspend nodes", Refused),
    ("cannot shutdown a completed workflow", Refused),
    ("expected parameter of the form", Refused),
    ("invalid resource name", Refused),
    ("runtime error: invalid memory address", Refused),
)
#: Only the whole text: with a reason behind it, it means that reason.
_LOST_RACE = "timed out waiting for the condition"
#: Said by Kubernetes when somebody else's write came first.
_CONFLICT = "the object has been modified"
#: The gateway did not reach the server behind it; other 503s may come in the middle of a call.
_NOT_REACHED = "Error while dialing"
_BY_STATUS: dict[int, type[ArgoError]] = {
    401: Unauthorized,
    403: Forbidden,
    410: ResourceVersionTooOld,
    429: Throttled,
    501: NotArgo,
}
#: Argo or a proxy gave the call up half-way.
_GIVEN_UP = (408, 499)
#: Other numbers are another server's.
_GRPC_CODES = range(1, 17)
_LONGEST_TEXT = 1000


def said(found: Any) -> str | None:
    """Argo's own text in the JSON of a plain call or of a stream; None when it is not of Argo's form."""
    error = found.get("error", found) if isinstance(found, dict) else None
    if not isinstance(error, dict) or error.get("code", error.get("grpc_code")) not in _GRPC_CODES:
        return None
    return str(error.get("message") or "")[:_LONGEST_TEXT]


def from_answer(status: int, *, argo_message: str | None, method: str, path: str, writes: bool) -> ArgoError:
    """The error behind an answer of 400 or more. `argo_message` is Argo's text, None when the body was not
    Argo's JSON; `writes` tells whether the call could have changed something."""
    kind = _kind(status, argo_message, writes=writes)
    text = argo_message if argo_message is not None else f"HTTP {status} without an answer in Argo's form"
    return kind(text, method=method, path=path, status=status)


def _kind(status: int, argo_message: str | None, *, writes: bool) -> type[ArgoError]:
    if argo_message is not None and (known := _kind_by_text(argo_message, status)):
        return known
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # Not so without Argo's text: a proxy's page must not make a workflow look deleted.
    if status == 404 and argo_message is not None:
        return NotFound
    if status >= 500 or status in _GIVEN_UP:
        return Unclear if writes else Unavailable
    return Refused if argo_message is not None else NotArgo


def _kind_by_text(text: str, status: int) -> type[ArgoError] | None:
    for beginning, kind in _BEGINNINGS:
        if text.startswith(beginning):
            return kind
    if text == _LOST_RACE or (status in (409, 500) and _CONFLICT in text):
        return LostRace
    return Unavailable if status == 503 and _NOT_REACHED in text else None
