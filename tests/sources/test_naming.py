import pytest

from video_tool.sources.naming import file_name, one_line, redact, redact_text, url_name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a/b.mp4", "https://example.org/a/b.mp4"),
        ("https://example.org:8443/b.mp4?sig=SECRET#t=SECRET", "https://example.org:8443/b.mp4"),
        ("https://user:SECRET@example.org/b.mp4", "https://example.org/b.mp4"),
        ("https://user:SE@CRET@example.org/b.mp4", "https://example.org/b.mp4"),
        ("https://user:SEC?RET@example.org/b.mp4", "https://…"),
        ("https://user:SEC/RET@example.org/b.mp4", "https://…"),
        ("https://example.org/@someone/b.mp4", "https://example.org/@someone/b.mp4"),
        ("https://example.org?sig=SECRET", "https://example.org"),
        ("http://[::1]:80/b.mp4", "http://[::1]:80/b.mp4"),
        ("http:///b.mp4", "http:///b.mp4"),
        ("https:/user:SECRET@example.org/b.mp4", "https:/example.org/b.mp4"),
        ("data:video/mp4;base64,SECRET", "data:…"),
        ("http://h/a\r\nb", "http://h/a\\r\\nb"),
    ],
)
def test_a_url_is_shown_without_what_it_may_keep_secret(url: str, shown: str):
    assert redact(url) == shown


def test_urls_within_text_are_redacted():
    said = "no video at https://u:SECRET@h/x?k=SECRET, see 'http://docs/y?k=SECRET'\n"
    assert redact_text(said) == "no video at https://h/x see 'http://docs/y'\\n"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://u:p@example.org/a/my%20cat.mp4?k=v#f", "my cat.mp4"),
        ("https://example.org/a/", "a"),
        ("https://example.org:80/?v=1", "example.org"),
        ("https://example.org/a%0Ab.mp4", "a\\nb.mp4"),
    ],
)
def test_a_url_is_called_by_its_last_segment(url: str, name: str):
    assert url_name(url) == name


def test_a_name_stays_on_one_line_and_short():
    assert one_line("a\nb\x1b[31mc") == "a\\nb\\x1b[31mc"
    assert one_line("köttur 猫.mp4") == "köttur 猫.mp4"
    assert len(one_line("x" * 10_000)) < 250


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/my%20cat%20(1).mp4?SECRET", "my cat (1).mp4"),
        ("/a/%2E%2E%2F%2E%2E%2Fescaped", "_.._escaped"),
        ("/..%5Cescaped", "_escaped"),
        ("/%2Dold", "old"),
        ("/.profile", "profile"),
        ("/a%0Ab%00c%3Ad", "a_nb_x00c_d"),
        ("/...", "video"),
        ("/", "example.org"),
        ("/" + "x" * 300 + ".mp4", "x" * 56 + ".mp4"),
        ("/" + "猫" * 300 + ".mp4", "猫" * 56 + ".mp4"),
    ],
)
def test_an_address_does_not_choose_where_its_file_lands(path: str, name: str):
    assert file_name(f"https://example.org{path}") == name
    assert len(name.encode()) < 255
