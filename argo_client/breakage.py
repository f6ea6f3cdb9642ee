"""What became of a call without a whole answer, told from the libraries' exceptions."""

from __future__ import annotations

import ssl

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, ProxyError

from argo_client.errors import ArgoError, Unavailable, Unclear

_NOT_PUT_TOGETHER = (
    requests.exceptions.InvalidJSONError,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
#: What OpenSSL calls a handshake that failed before anything was sent.
_HANDSHAKE = (
    "CERTIFICATE_VERIFY_FAILED",
    "WRONG_VERSION_NUMBER",
    "HANDSHAKE_FAILURE",
    "UNSUPPORTED_PROTOCOL",
)


def broken_call(
    error: OSError | HTTPError, *, method: str, path: str, status: int | None = None
) -> ArgoError:
    """The error behind a call without a whole answer. What never left us was surely not done; a read may
    be repeated whatever became of it."""
    never_sent = status is None and _was_never_sent(error)
    kind = Unavailable if method == "GET" or never_sent else Unclear
    return kind(_why(error), method=method, path=path, status=status)


def _was_never_sent(error: BaseException) -> bool:
    """True when no connection was made, or the request could not even be put together."""
    if isinstance(error, requests.exceptions.SSLError):
        return any(sign in _innermost(error) for sign in _HANDSHAKE)
    if not isinstance(error, requests.RequestException | HTTPError) or isinstance(error, _NOT_PUT_TOGETHER):
        return True
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    return isinstance(reason, ConnectTimeoutError | ProxyError)


def _why(error: BaseException) -> str:
    """A few words for people. The library's own text names memory addresses and pool objects."""
    if isinstance(error, requests.exceptions.ProxyError):
        return "its proxy does not connect us"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection within the time allowed"
    text = _innermost(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return "no answer within the time allowed"
    if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
        return f"no secure connection: {text}"
    if not isinstance(error, requests.ConnectionError | HTTPError):
        return f"the call cannot be made: {text}"
    for sign, words in (
        ("refused", "connection refused"),
        ("resolve", "its name cannot be resolved"),
        ("Name or service not known", "its name cannot be resolved"),
        ("unreachable", "network unreachable"),
    ):
        if sign in text:
            return words
    return "the connection broke off"


def _innermost(error: BaseException) -> str:
    """The text of the first cause."""
    for _ in range(10):
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error)[:200]
