from __future__ import annotations

from pathlib import Path

import pytest

from argo_client import TokenSource


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("abc", "Bearer abc"),
        ("Bearer abc", "Bearer abc"),
        ("bearer abc", "Bearer abc"),
        (" Bearer  abc\n", "Bearer abc"),
        ("Basic YTpi", "Basic YTpi"),
    ],
)
def test_a_token_may_be_written_with_or_without_its_scheme(written: str, header: str) -> None:
    assert TokenSource.from_text(written).header() == header


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    source = TokenSource.from_file(file)
    assert source.header() == "Bearer first"
    (tmp_path / "next").write_text("second, and longer")
    (tmp_path / "next").rename(file)
    assert source.header() == "Bearer second, and longer"


def test_a_token_never_shows(tmp_path: Path) -> None:
    assert "s3cret" not in repr(TokenSource.from_text("s3cret"))
    with pytest.raises(ValueError, match="characters") as caught:
        TokenSource.from_text("s3cret\nX-Other: 1")
    assert "s3cret" not in str(caught.value)
