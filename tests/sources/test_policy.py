import os
from pathlib import Path
from typing import Any

import pytest

from video_tool.builtin import DEMO_VIDEO
from video_tool.errors import SourceRefusedError
from video_tool.settings import Settings
from video_tool.sources.policy import check_addresses, check_file, check_host, check_path, check_url, scheme_of


def refusal(url: str, **settings: Any) -> SourceRefusedError:
    """The refusal of a URL, after a look at what every one has to have."""
    with pytest.raises(SourceRefusedError) as caught:
        check_url(url, Settings(**settings))
    assert caught.value.hint
    assert not caught.value.retryable
    assert "SEC" not in str(caught.value) + caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


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
    [
        *("https://example.org/a.mp4?k=v#f", "http://u:p@example.org:80/a", "https://münchen.de/a", "http://8.8.8.8/"),
        *("http://[2606:4700:4700::1111]:8080/a", "https://example.org./a", "http://010.8.8.8/", "http://a_b.example/"),
    ],
)
def test_public_hosts_are_fetched_from(url: str):
    check_url(url, Settings())


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
        ("http://1.2.3.4.5/a", "malformed"),
        ("http://a@example.org@127.0.0.1/a", "malformed"),
        ("http://127.0.0.1%2f@example.org%00/", "malformed"),
        ("http://example.org/a b.mp4", "no spaces"),
        ("http://example.org/a\nb", "no spaces"),
        ("http://example.org\\@SECRET.org/a".replace("SECRET.", ""), "backslashes"),
        ("https://example.org/a#__youtubedl_smuggle=SECRET", "instructions for yt-dlp"),
    ],
)
def test_other_urls_are_refused(url: str, rule: str):
    assert rule in str(refusal(url))


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://127.0.0.1/a", "loopback"),
        ("http://2130706433/a", "loopback"),
        ("http://0x7f.1/a", "loopback"),
        ("http://0177.0.0.1/a", "loopback"),
        ("http://127.1/a", "loopback"),
        ("http://127。0。0。1/a", "loopback"),
        ("http://localhost/a", "loopback"),
        ("http://LOCALHOST./a", "loopback"),
        ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/a", "loopback"),
        ("http://example.org@127.0.0.1/a", "loopback"),
        ("http://example.org:80@127.0.0.1:80/a", "loopback"),
        ("http://127.0.0.1#@example.org/", "loopback"),
        ("http://127.0.0.1?@example.org/", "loopback"),
        ("http://[::1]/a", "loopback"),
        ("http://[::ffff:127.0.0.1]/a", "loopback"),
        ("http://[64:ff9b::7f00:1]/a", "loopback"),
        ("http://10.0.0.1/a", "private"),
        ("http://[fd00::1]/a", "private"),
        ("http://[fe80::1%25eth0]/a", "link-local"),
        ("http://0/a", "this network"),
        ("http://[2002:7f00:1::]/a", "6to4"),
        ("http://nas.local/a", "local network"),
        ("http://169.254.169.254/latest/meta-data", "metadata service"),
        ("http://0xa9fea9fe/latest/meta-data", "metadata service"),
        ("http://metadata.google.internal./computeMetadata", "metadata service"),
        ("http://[fd00:ec2::254]/", "metadata service"),
    ],
)
def test_hosts_that_are_not_public_are_refused(url: str, rule: str):
    error = refusal(url)
    assert rule in str(error)
    assert "VIDEO_TOOL_ALLOWED_HOSTS" in error.hint


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/a"),
        ("127.0.0.1", "http://0x7f.1/a"),
        ("other.example, NAS.local.", "https://nas.local/a"),
        ("[::1]", "http://[0::1]/a"),
        ("169.254.169.254", "http://169.254.169.254/"),
        ("metadata.google.internal", "http://metadata.google.internal/"),
    ],
)
def test_hosts_that_are_listed_may_be_private(listed: str, url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_HOSTS", listed)
    check_url(url, Settings())
    refusal("http://127.0.0.2/a")
    refusal("http://localhost/a")


def test_a_name_is_not_listed_with_its_address():
    settings = Settings(allowed_hosts=("127.0.0.1",))
    check_addresses("127.0.0.1", ["127.0.0.1"], settings)
    with pytest.raises(SourceRefusedError, match=r"its address 127\.0\.0\.1 is loopback"):
        check_addresses("public.example", ["127.0.0.1"], settings)


def test_every_address_of_a_name_is_checked():
    check_addresses("public.example", ["8.8.8.8", "2606:4700:4700::1111"], Settings())
    for private in ("10.0.0.1", "::1", "fe80::1%2", "nonsense"):
        with pytest.raises(SourceRefusedError, match=r"public\.example"):
            check_addresses("public.example", ["8.8.8.8", private], Settings())


def test_private_networks_may_be_opened_but_not_metadata_services():
    settings = Settings(allow_private_networks=True)
    for url in ("http://127.0.0.1/a", "http://[::1]/a", "http://nas.local/a", "http://10.0.0.1/a"):
        check_url(url, settings)
    assert "metadata" in str(refusal("http://169.254.169.254/", allow_private_networks=True))
    with pytest.raises(SourceRefusedError, match="metadata"):
        check_addresses("public.example", ["8.8.8.8", "169.254.169.254"], settings)


def test_domains_may_be_listed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_DOMAINS", "example.org,*.videos.example")
    settings = Settings()
    for host in ("example.org", "a.b.example.org", "cdn.videos.example"):
        check_host(host, settings)
    for url in ("http://example.com/", "http://notexample.org/", "http://example.org.evil.example/", "http://8.8.8.8/"):
        error = refusal(url)
        assert "allowed domains" in str(error)
        assert "VIDEO_TOOL_ALLOWED_DOMAINS" in error.hint
    refusal("http://example.org/", allowed_domains=())


def test_a_listed_domain_may_not_be_private():
    settings = Settings(allowed_domains=("example.org",))
    with pytest.raises(SourceRefusedError, match="private"):
        check_addresses("example.org", ["10.0.0.1"], settings)


def test_an_option_in_the_wrong_place_is_no_path():
    with pytest.raises(SourceRefusedError, match="begins with '-'") as caught:
        check_path("--exec=SECRET")
    assert "./" in caught.value.hint
    check_path("./--exec.mp4")


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def file_refusal(path: Path, settings: Settings) -> SourceRefusedError:
    with pytest.raises(SourceRefusedError) as caught:
        check_file(path, path.name, settings)
    assert caught.value.hint
    return caught.value


def test_files_below_the_roots_may_be_read(tmp_path: Path):
    settings = Settings(allowed_roots=(tmp_path / "a", tmp_path / "b"))
    for name in ("a/x.mp4", "a/deep/down/x.mp4", "b/x.mp4", "b/../a/x.mp4", "a"):
        check_file(tmp_path / name, name, settings)
    for name in ("x.mp4", "ab/x.mp4", "a/../x.mp4", "a/../../x.mp4", "c/x.mp4"):
        error = file_refusal(tmp_path / name, settings)
        assert "outside the folders" in str(error)
        assert f"VIDEO_TOOL_ALLOWED_ROOTS to its folder, {(tmp_path / name).resolve().parent}," in error.hint


def test_by_default_those_are_the_working_directory_and_the_temp_folder(
    tmp_path: Path, temp_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("VIDEO_TOOL_ALLOWED_ROOTS")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    settings = Settings()
    monkeypatch.chdir(tmp_path)  # afterwards it makes no difference
    check_file(tmp_path / "here" / "x.mp4", "x.mp4", settings)
    check_file(temp_folder / "x.mp4", "x.mp4", settings)
    file_refusal(tmp_path / "x.mp4", settings)


def test_no_roots_means_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", "")
    file_refusal(tmp_path / "x.mp4", Settings())
    check_file(DEMO_VIDEO, "demo.mp4", Settings())  # but for the one that comes with the package
    file_refusal(DEMO_VIDEO.parent / "clips.py", Settings())


def test_several_roots_in_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_ROOTS", f"~/a{os.pathsep}{tmp_path / 'b'}")
    assert Settings().allowed_roots == (tmp_path / "a", tmp_path / "b")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_symbolic_links_are_followed_before(tmp_path: Path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").touch()
    (tmp_path / "in" / "link.mp4").symlink_to("../out/x.mp4")
    (tmp_path / "in" / "folder").symlink_to("../out")
    (tmp_path / "in" / "deep.mp4").symlink_to("link.mp4")
    (tmp_path / "out" / "back.mp4").symlink_to("../in/x.mp4")
    (tmp_path / "root").symlink_to("in")
    for root in ("in", "root"):
        settings = Settings(allowed_roots=(tmp_path / root,))
        for name in ("in/link.mp4", "in/folder/x.mp4", "in/deep.mp4", "root/link.mp4", "in/folder/new.mp4"):
            file_refusal(tmp_path / name, settings)
        for name in ("in/x.mp4", "root/x.mp4", "out/back.mp4"):
            assert check_file(tmp_path / name, name, settings) == (tmp_path / "in" / "x.mp4").resolve()


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/proc/self/root/etc/hostname", "/sys/kernel/notes", "/dev/stdin", "/usr/../proc/1"]
)
def test_the_system_s_own_folders_are_closed_with_every_root(path: str):
    assert "/proc, /dev and /sys" in str(file_refusal(Path(path), Settings(allowed_roots=(Path("/"),))))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no such folder")
def test_a_link_into_the_system_s_own_folders(tmp_path: Path):
    (tmp_path / "link.mp4").symlink_to("/proc/self/environ")
    assert "/proc" in str(file_refusal(tmp_path / "link.mp4", Settings(allowed_roots=(Path("/"),))))
