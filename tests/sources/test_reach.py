"""What a download may reach: whatever a server answers, a canary that may not be reached counts no hit."""

import base64
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yt_dlp.extractor
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import NoSupportingHandlers, RequestError

from tests.serve import Site, serve
from video_tool.errors import SourceError, SourceNotFoundError, SourceRefusedError
from video_tool.settings import Settings
from video_tool.sources import open_source
from video_tool.sources.download import _options
from video_tool.sources.ytdlp import Aborted, ConfinedYoutubeDL

HLS = "application/vnd.apple.mpegurl"
DASH = "application/dash+xml"


@pytest.fixture
def canary(mp4: bytes) -> Iterator[Site]:
    """A server of good videos, playlists and pages. It may be called anything but 127.0.0.1, which is allowed."""
    with serve() as site:
        for path in ("/a.mp4", "/a.ts", "/key", "/"):
            site.put(path, mp4, content_type="video/mp4")
        site.put("/a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\na.ts\n#EXT-X-ENDLIST\n", content_type=HLS)
        site.put("/a.html", b"<video src='/a.mp4'></video>", content_type="text/html")
        yield site


def refused(url: str, error: type[SourceError] = SourceRefusedError) -> SourceError:
    with pytest.raises(error) as caught, open_source(url, Settings()):
        pytest.fail("it was fetched")
    assert type(caught.value) is error
    assert caught.value.hint
    assert not caught.value.retryable
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


# ── Redirects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TARGETS: dict[str, Callable[[int], str]] = {
    "absolute": lambda port: f"http://localhost:{port}/a.mp4",
    "relative": lambda port: "hop",
    "without a scheme": lambda port: f"//localhost:{port}/a.mp4",
    "IPv6 literal": lambda port: f"http://[::ffff:127.0.0.1]:{port}/a.mp4",
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", TARGETS)
def test_redirects_are_refused_at_the_hop(site: Site, canary: Site, status: int, target: str):
    port = urlsplit(canary.url).port or 0
    site.put("/hop", status=status, headers=(("Location", f"//localhost:{port}/a.mp4"),))
    url = site.put("/start", status=status, headers=(("Location", TARGETS[target](port)),))
    assert "loopback" in str(refused(url))
    assert site.hits["/start"] == 1
    assert site.hits["/hop"] == (target == "relative")
    assert canary.hits.total() == 0


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_redirects_reach_it_when_that_is_allowed(
    site: Site, canary: Site, mp4: bytes, target: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VIDEO_TOOL_ALLOW_PRIVATE_NETWORKS", "true")
    port = urlsplit(canary.url).port or 0
    site.redirect("/hop", f"//localhost:{port}/a.mp4")
    with open_source(site.redirect("/start", TARGETS[target](port)), Settings()) as file:
        assert file.path.read_bytes() == mp4
    assert canary.hits["/a.mp4"] > 0


@pytest.mark.parametrize("path", ["/a.mp4", "/"])
def test_a_redirect_to_ipv6_loopback(site: Site, path: str):
    try:
        running = serve("::1").__enter__()
    except OSError:
        pytest.skip("no IPv6 here")
    assert "::1 is refused" in str(refused(site.redirect("/start", running.url + path)))
    assert running.hits.total() == 0


@pytest.mark.parametrize(("hops", "fetched"), [(10, True), (11, False)])
def test_so_many_redirects_are_followed(site: Site, mp4: bytes, hops: int, fetched: bool):
    site.put("/0", mp4, content_type="video/mp4")
    for number in range(hops):
        site.redirect(f"/{number + 1}", f"/{number}")
    if fetched:
        with open_source(f"{site.url}/{hops}", Settings()) as file:
            assert file.path.read_bytes() == mp4
    else:
        with pytest.raises(SourceError, match="more than 10 times"), open_source(f"{site.url}/{hops}", Settings()):
            pytest.fail("it was fetched")
        assert site.hits["/0"] == 0


def test_so_many_pages_are_followed(site: Site):
    for number in range(12):
        page = f"<meta http-equiv='refresh' content='0; url={site.url}/{number + 1}'>".replace("'", '"')
        site.put(f"/{number}", page.encode(), content_type="text/html")
    with pytest.raises(SourceError, match="more than 10 times"), open_source(f"{site.url}/0", Settings()):
        pytest.fail("it was fetched")
    assert site.hits["/10"] > 0
    assert site.hits["/11"] == 0


@pytest.mark.parametrize("value", ["*", "localhost,127.0.0.1", "127.0.0.0/8,.localhost"])
def test_no_proxy_in_the_environment_is_no_way_around(
    site: Site, canary: Site, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", value)
    monkeypatch.setenv("no_proxy", value)
    refused(site.redirect("/start", f"http://localhost:{urlsplit(canary.url).port}/a.mp4"))
    assert canary.hits.total() == 0


# ── What playlists and pages lead to ──────────────────────────────────────────────────────────────────────────────────

END = "#EXT-X-ENDLIST\n"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n"
PLAYLISTS = {
    "segment": f"{HEAD}#EXTINF:5,\nBAD/a.ts\n{END}",
    "second segment": f"{HEAD}#EXTINF:5,\ngood.ts\n#EXTINF:5,\nBAD/a.ts\n{END}",
    "byte range": f"{HEAD}#EXTINF:5,\n#EXT-X-BYTERANGE:100@0\nBAD/a.ts\n{END}",
    "first part": f'{HEAD}#EXT-X-MAP:URI="BAD/a.mp4"\n#EXTINF:5,\ngood.ts\n{END}',
    "key": f'{HEAD}#EXT-X-KEY:METHOD=AES-128,URI="BAD/key"\n#EXTINF:5,\ngood.ts\n{END}',
    "redirected segment": f"{HEAD}#EXTINF:5,\nredirect.ts\n{END}",
    "variant": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=64x64\nBAD/a.m3u8\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_hls_reaches_nothing_else(site: Site, canary: Site, mp4: bytes, kind: str):
    bad = f"http://localhost:{urlsplit(canary.url).port}"
    site.put("/good.ts", mp4)
    site.redirect("/redirect.ts", f"{bad}/a.ts")
    url = site.put("/a.m3u8", PLAYLISTS[kind].replace("BAD", bad).encode(), content_type=HLS)
    assert "localhost is refused" in str(refused(url))
    assert canary.hits.total() == 0


MANIFESTS = {
    "base": "<BaseURL>BAD/</BaseURL><SegmentList><SegmentURL media='a.mp4'/></SegmentList>",
    "segment": "<SegmentList><SegmentURL media='BAD/a.mp4'/></SegmentList>",
    "first part": "<SegmentList><Initialization sourceURL='BAD/a.mp4'/><SegmentURL media='good.mp4'/></SegmentList>",
    "template": "<SegmentTemplate media='BAD/a.mp4?$Number$' timescale='1' duration='1' startNumber='1'/>",
    "single file": "<BaseURL>BAD/a.mp4</BaseURL>",
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_dash_reaches_nothing_else(site: Site, canary: Site, mp4: bytes, kind: str):
    site.put("/good.mp4", mp4)
    manifest = (
        "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' mediaPresentationDuration='PT2S'><Period>"
        "<AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='100000' width='64' height='64'"
        f" codecs='avc1.42c00a'>{MANIFESTS[kind]}</Representation></AdaptationSet></Period></MPD>"
    ).replace("BAD", f"http://localhost:{urlsplit(canary.url).port}")
    url = site.put("/a.mpd", manifest.encode(), content_type=DASH)
    assert "localhost is refused" in str(refused(url))
    assert canary.hits.total() == 0


PAGES = {
    "video": "<video src='BAD/a.mp4'></video>",
    "source": "<video><source src='BAD/a.m3u8' type='application/x-mpegURL'></video>",
    "redirected": "<video src='/redirect.mp4'></video>",
    "og:video": '<meta property="og:video" content="BAD/a.mp4">',
    "twitter": '<meta name="twitter:player:stream" content="BAD/a.mp4">',
    "JSON-LD": '<script type="application/ld+json">{"@context": "https://schema.org", "@type": "VideoObject", '
    '"name": "a", "contentUrl": "BAD/a.mp4"}</script>',
    "refresh": '<meta http-equiv="refresh" content="0; url=BAD/a.html">',
    "player": "<script>jwplayer('p').setup({file: 'BAD/a.mp4', sources: [{file: 'BAD/a.m3u8'}]});</script>",
    "feed": "<rss version='2.0'><channel><title>a</title><item><title>a</title>"
    "<enclosure url='BAD/a.mp4' type='video/mp4'/></item></channel></rss>",
}


@pytest.mark.parametrize("kind", PAGES)
def test_pages_reach_nothing_else(site: Site, canary: Site, kind: str):
    bad = f"http://localhost:{urlsplit(canary.url).port}"
    site.redirect("/redirect.mp4", f"{bad}/a.mp4")
    content_type = "text/xml" if kind == "feed" else "text/html"
    url = site.put("/a.html", f"<html>{PAGES[kind].replace('BAD', bad)}</html>".encode(), content_type=content_type)
    if kind == "feed":
        url = site.put("/a.xml", PAGES[kind].replace("BAD", bad).encode(), content_type=content_type)
    assert "localhost is refused" in str(refused(url))
    assert canary.hits.total() == 0


def test_a_page_may_smuggle_nothing(site: Site, canary: Site):
    url = site.put("/a.mp4", b"", content_type="video/mp4")
    assert "instructions" in str(refused(f"{url}#__youtubedl_smuggle=%7B%22a%22%3A+1%7D"))
    assert site.hits.total() == 0


def test_a_listed_domain_holds_for_what_a_page_leads_to(site: Site, canary: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIDEO_TOOL_ALLOWED_DOMAINS", "127.0.0.1")
    monkeypatch.setenv("VIDEO_TOOL_ALLOW_PRIVATE_NETWORKS", "true")
    page = f"<video src='http://localhost:{urlsplit(canary.url).port}/a.mp4'></video>"
    assert "allowed domains" in str(refused(site.put("/a.html", page.encode(), content_type="text/html")))
    assert canary.hits.total() == 0


# ── How yt-dlp is confined ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[ConfinedYoutubeDL]:
    options = _options(tmp_path, Settings()) | {"proxy": "http://user:password@127.0.0.1:9"}
    with ConfinedYoutubeDL(options, "a.mp4", 1 << 20) as ydl:
        yield ydl


@pytest.mark.parametrize("url", ["ftp://localhost/a", "file:///etc/hostname", "wss://localhost/a", "data:,a"])
def test_no_other_protocol_is_spoken(confined: ConfinedYoutubeDL, url: str):
    with pytest.raises((RequestError, NoSupportingHandlers)):
        confined.urlopen(url)


def test_requests_cannot_name_another_proxy(confined: ConfinedYoutubeDL, canary: Site):
    for proxies in ({"all": canary.url}, {"http": None}, {"no": "*"}, {"all": "__noproxy__"}):
        with pytest.raises(RequestError):
            confined.urlopen(Request(canary.url + "/a.mp4", proxies=proxies))
    with pytest.raises(RequestError):
        confined.urlopen(Request(canary.url + "/a.mp4", headers={"Ytdl-request-proxy": canary.url}))
    assert canary.hits.total() == 0


@pytest.mark.parametrize("protocol", ["rtmp", "rtsp", "mms", "websocket_frag", "niconico_live", "m3u8_native+rtmp"])
def test_no_program_is_started_for_another_protocol(confined: ConfinedYoutubeDL, tmp_path: Path, protocol: str):
    with pytest.raises(Aborted) as caught:
        confined.dl(str(tmp_path / "source"), {"url": "rtmp://localhost/a", "protocol": protocol, "ext": "mp4"})
    assert isinstance(caught.value.error, SourceRefusedError)


def test_extractors_that_start_a_browser_are_left_out(confined: ConfinedYoutubeDL):
    folder = Path(yt_dlp.extractor.__file__ or "").parent
    starting: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.name != "openload.py" and "PhantomJSwrapper(" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            for _, found in inspect.getmembers(importlib.import_module(f"yt_dlp.extractor.{name}"), inspect.isclass):
                bases = [base for base in found.__mro__ if base.__module__.endswith(f".{name}")]
                if issubclass(found, InfoExtractor) and any("PhantomJSwrapper(" in inspect.getsource(b) for b in bases):
                    starting.add(found.ie_key())
    assert starting
    assert starting.isdisjoint(confined._ies)
    theirs = list(yt_dlp.YoutubeDL({"quiet": True})._ies)
    assert list(confined._ies) == [name for name in theirs if name in confined._ies]  # the first that fits is taken
    assert {"Generic", "Youtube", "Vimeo"} <= set(confined._ies)
    assert len(confined._ies) > 0.99 * len(theirs)


def test_a_cookie_goes_to_its_site_alone(site: Site, mp4: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "cookies.txt"
    lines = ("127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tSECRET", "#HttpOnly_other.example\tFALSE\t/\tTRUE\t0\tb\tSECRET")
    path.write_text("\n".join(("# Netscape HTTP Cookie File", "", "# a remark", *lines, "")))
    before = path.read_bytes()
    monkeypatch.setenv("VIDEO_TOOL_COOKIES_FILE", str(path))
    with open_source(site.put("/a.mp4", mp4, content_type="video/mp4"), Settings()):
        pass
    assert {request["Cookie"] for request in site.requests} == {"session=SECRET"}
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b'[{"name": "SECRET"}]', b"# Netscape HTTP Cookie File\nSECRET\n", b"\xff\xfeSECRET", None]
)
def test_a_file_of_cookies_that_is_none(
    site: Site,
    tmp_path: Path,
    content: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    path = tmp_path / "cookies.txt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("VIDEO_TOOL_COOKIES_FILE", str(path))
    with pytest.raises(SourceError, match=r"cookies\.txt") as caught:
        open_source(site.put("/a.mp4", b"meow", content_type="video/mp4"), Settings()).__enter__()
    assert "Netscape" in caught.value.hint + str(caught.value) or content is None
    assert "SECRET" not in str(caught.value) + caught.value.hint
    assert capfd.readouterr() == ("", "")
    assert site.hits.total() == 0


def test_a_secret_is_in_no_part_of_an_error(site: Site):
    secret = base64.b64encode(b"user:SECRET").decode()
    url = site.put("/a.mp4", b"", status=500).replace("http://", "http://user:SECRET@") + "?token=SECRET#SECRET"
    with pytest.raises(SourceError) as caught, open_source(url, Settings()):
        pytest.fail("it was fetched")
    error: BaseException | None = caught.value
    while error is not None:
        assert "SECRET" not in repr(error) + str(getattr(error, "hint", ""))
        assert secret not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_page_without_video_behind_a_refusal_says_so(site: Site):
    page = site.put("/a.html", b"<html><img src='http://localhost/a.png'>words</html>", content_type="text/html")
    assert "no video" in str(refused(page, SourceNotFoundError))
