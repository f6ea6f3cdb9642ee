"""Where the token comes from: a text in Argo's own form, or a file that is read again when it changes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_SCHEMES = ("bearer", "basic")


def authorization(token: str) -> str:
    """The Authorization header for a token with or without its scheme, as Argo's ARGO_TOKEN may be."""
    token = token.strip()
    if token.partition(" ")[0].lower() in _SCHEMES and " " in token:
        scheme, _, rest = token.partition(" ")
        # Argo takes the scheme with a capital only.
        return f"{scheme.capitalize()} {rest.strip()}"
    return f"Bearer {token}"


class TokenSource:
    """Gives the Authorization header of the moment. Its repr never shows the token."""

    def __init__(self, *, text: str = "", file: Path | None = None) -> None:
        if bool(text) == bool(file):
            raise ValueError("A token comes either as a text or from a file.")
        self._file = file
        self._header = authorization(text) if text else ""
        if text and (problem := _problem(self._header)):
            raise ValueError(f"The token {problem}.")
        self._stamp: tuple[int, int, int] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_text(cls, text: str) -> TokenSource:
        return cls(text=text)

    @classmethod
    def from_file(cls, file: str | Path) -> TokenSource:
        """Kubernetes replaces the file behind a projected token; the next call sees it."""
        return cls(file=Path(file))

    def __repr__(self) -> str:
        return f"TokenSource(file={str(self._file)!r})" if self._file else "TokenSource(text=...)"

    def header(self) -> str:
        """The value of the Authorization header. Raises OSError when the file cannot be read."""
        if self._file is None:
            return self._header
        with self._lock:
            found = os.stat(self._file)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                header = authorization(self._file.read_text(encoding="utf-8", errors="replace"))
                if problem := _problem(header):
                    raise OSError(f"the token file {problem}")
                self._header, self._stamp = header, stamp
            return self._header


def _problem(header: str) -> str:
    """Why this cannot be sent as a header, or "". It never repeats the token."""
    if " " not in header.strip():
        return "is empty"
    return "" if header.isascii() and header.isprintable() else "holds characters that no header can carry"
