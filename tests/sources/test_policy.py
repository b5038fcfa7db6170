import pytest

from video_tool.errors import SourceRefusedError
from video_tool.sources.policy import check_path, check_url, scheme_of


@pytest.mark.parametrize(
    ("reference", "scheme"),
    [
        ("https://example.org/a.mp4", "https"),
        ("HTTP://example.org", "http"),
        ("ftp://example.org", "ftp"),
        ("svn+ssh://example.org", "svn+ssh"),
        ("data:video/mp4;base64,AAAA", "data"),
        ("file:/etc/passwd", "file"),
        ("JavaScript:alert(1)", "javascript"),
        ("cats.mp4", None),
        ("C:\\videos\\cats.mp4", None),
        ("C:/videos/cats.mp4", None),
        ("part 1: the cats.mp4", None),
        ("12:30.mp4", None),
        ("folder/http://x", None),
    ],
)
def test_what_is_a_url_and_what_is_a_path(reference: str, scheme: str | None):
    assert scheme_of(reference) == scheme


@pytest.mark.parametrize(
    "url",
    ["https://example.org/a.mp4?k=v#f", "http://u:p@127.0.0.1:80/a", "http://[::1]:8080/a", "https://münchen.de/a"],
)
def test_http_is_fetched(url: str):
    check_url(url)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("ftp://example.org/a.mp4", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("data:video/mp4;base64,SECRET", "only http and https"),
        ("javascript:SECRET", "only http and https"),
        ("rtsp://user:SECRET@example.org/a", "only http and https"),
        ("http:///a.mp4", "no host"),
        ("https://?SECRET", "no host"),
        ("https://:443/a", "no host"),
        ("http://[::1/a?SECRET", "malformed"),
        ("http://example.org:99999/a?SECRET", "malformed"),
        ("http://user:SEC/RET@example.org/a", "malformed"),
        ("http://example..org/a", "malformed"),
        (f"http://{'x' * 64}.org/a", "malformed"),
        ("http://example.org/a b.mp4", "no spaces"),
        ("http://example.org/a\nb", "no spaces"),
        ("http://example.org\\@SECRET.org/a".replace("SECRET.", ""), "backslashes"),
    ],
)
def test_other_urls_are_refused(url: str, rule: str):
    with pytest.raises(SourceRefusedError, match=rule) as caught:
        check_url(url)
    assert caught.value.hint
    assert not caught.value.retryable
    assert "SEC" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_in_the_wrong_place_is_no_path():
    with pytest.raises(SourceRefusedError, match="begins with '-'") as caught:
        check_path("--exec=SECRET")
    assert "./" in caught.value.hint
    check_path("./--exec.mp4")
