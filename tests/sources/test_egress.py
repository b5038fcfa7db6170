import gc
import http.client
import itertools
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from tests.serve import Site, serve
from tests.sources.through import FurtherProxy, further_proxy, get
from video_tool.errors import DownloadError, SourceRefusedError, SourceTooLargeError
from video_tool.settings import Settings
from video_tool.sources.egress import EgressProxy, wire_ceiling

PUBLIC = "93.184.215.14"
BOTH_WAYS = pytest.mark.parametrize("tunnel", [False, True])


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def canary() -> Iterator[Site]:
    """A server that nobody may reach."""
    with serve() as site:
        site.put("/", b"secret")
        yield site
        assert site.hits.total() == 0


@pytest.fixture
def behind(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[FurtherProxy]:
    """A proxy that the environment asks for; whatever address it is given, it leads to `site`."""
    monkeypatch.delenv("NO_PROXY")
    site.put("/a.mp4", b"meow")
    with further_proxy(site.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:p%40ss@"))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


@BOTH_WAYS
def test_what_is_allowed_comes_through(site: Site, tunnel: bool):
    url = site.put("/a.mp4", b"meow" * 100_000)
    with EgressProxy("a.mp4", Settings()) as proxy:
        assert get(proxy.url, f"{url}?k=v", tunnel=tunnel) == (200, b"meow" * 100_000)
        assert get(proxy.url, site.url + "/missing", tunnel=tunnel) == (404, b"not here")
        assert proxy.failure is None


@BOTH_WAYS
def test_nobody_else_may_use_it(site: Site, tunnel: bool):
    url = site.put("/a.mp4", b"meow")
    with EgressProxy("a.mp4", Settings()) as proxy:
        port = urlsplit(proxy.url).port
        for stranger in (f"http://127.0.0.1:{port}", f"http://video-tool:guess@127.0.0.1:{port}"):
            assert get(stranger, url, tunnel=tunnel)[0] == 407
    assert site.hits.total() == 0


def test_it_listens_to_this_machine_only_and_goes_away():
    before = threading.active_count()
    with EgressProxy("a.mp4", Settings()) as proxy, EgressProxy("b.mp4", Settings()) as other:
        assert urlsplit(proxy.url).hostname == "127.0.0.1"
        assert urlsplit(proxy.url).port != urlsplit(other.url).port
        assert urlsplit(proxy.url).password != urlsplit(other.url).password
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        get(proxy.url, "http://example.org/")


@BOTH_WAYS
@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "0x7f.1", "2130706433", "LOCALHOST."])
def test_what_is_not_public_is_refused(canary: Site, host: str, tunnel: bool):
    with EgressProxy("a.mp4", Settings()) as proxy:
        assert get(proxy.url, f"http://{host}:{urlsplit(canary.url).port}/", tunnel=tunnel)[0] == 403
        assert isinstance(proxy.failure, SourceRefusedError)
        assert "loopback" in str(proxy.failure)


@BOTH_WAYS
def test_one_private_address_among_public_ones_is_enough(canary: Site, tunnel: bool):
    port = urlsplit(canary.url).port
    with EgressProxy("a.mp4", Settings(), lambda *_: [PUBLIC, "127.0.0.1"]) as proxy:
        assert get(proxy.url, f"http://mixed.example:{port}/", tunnel=tunnel)[0] == 403
        assert "127.0.0.1" in str(proxy.failure)


@BOTH_WAYS
def test_a_name_that_changes_its_address_gains_nothing(canary: Site, behind: FurtherProxy, site: Site, tunnel: bool):
    port = urlsplit(canary.url).port
    for number in range(50):
        answers = itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))
        lookups: list[str] = []

        def flip(host: str, port: int, answers=answers, lookups=lookups) -> Sequence[str]:
            lookups.append(host)
            return next(answers)

        with EgressProxy("a.mp4", Settings(), flip) as proxy:
            assert get(proxy.url, f"http://flip.example:{port}/a.mp4", tunnel=tunnel) == (200, b"meow")
            assert lookups == ["flip.example"]  # and not again to connect
            assert get(proxy.url, f"http://flip.example:{port}/a.mp4", tunnel=tunnel)[0] == 403
        assert behind.targets == [f"{PUBLIC}:{port}"] * (number + 1)
    assert site.hits["/a.mp4"] == 50


def test_a_second_request_in_the_same_connection_is_not_served(site: Site, canary: Site):
    site.put("/a.mp4", b"meow")
    with EgressProxy("a.mp4", Settings()) as proxy:
        way = urlsplit(proxy.url)
        head = f"Proxy-Authorization: Basic {proxy.authorization}\r\nConnection: keep-alive\r\n\r\n"
        first = f"GET {site.url}/a.mp4 HTTP/1.1\r\nHost: a\r\n{head}"
        second = f"GET http://localhost:{urlsplit(canary.url).port}/ HTTP/1.1\r\nHost: a\r\n{head}"
        with socket.create_connection((way.hostname or "", way.port or 0)) as client:
            client.sendall((first + second).encode())
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.count(b"HTTP/1.") == 1
    assert answer.endswith(b"meow")


def test_the_server_sees_neither_the_secret_nor_another_host(site: Site):
    url = site.put("/a.mp4", b"meow")
    with EgressProxy("a.mp4", Settings()) as proxy:
        way = urlsplit(proxy.url)
        client = http.client.HTTPConnection(way.hostname or "", way.port)
        client.request(
            "POST",
            url,
            body=b"words",
            headers={"Proxy-Authorization": f"Basic {proxy.authorization}", "Host": "other.example", "X-Kept": "yes"},
        )
        assert client.getresponse().status == 200
        client.close()
    (seen,) = site.requests
    assert seen["Host"] == urlsplit(site.url).netloc
    assert seen["X-Kept"] == "yes"
    assert seen["Connection"] == "close"
    assert "Proxy-Authorization" not in seen


@pytest.mark.parametrize(
    "line",
    [
        "GET https://example.org/ HTTP/1.1",
        "GET / HTTP/1.1",
        "GET ftp://example.org/ HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://a..b/ HTTP/1.1",
        "CONNECT example.org:99999 HTTP/1.1",
        "CONNECT :443 HTTP/1.1",
        "nonsense",
    ],
)
def test_what_is_no_request_to_a_proxy(line: str):
    with EgressProxy("a.mp4", Settings()) as proxy:
        way = urlsplit(proxy.url)
        with socket.create_connection((way.hostname or "", way.port or 0)) as client:
            client.sendall(f"{line}\r\nHost: a\r\nProxy-Authorization: Basic {proxy.authorization}\r\n\r\n".encode())
            try:
                answer = client.recv(65536)
            except ConnectionResetError:
                answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


@BOTH_WAYS
def test_a_host_that_does_not_exist_or_answer(unused_port: int, tunnel: bool):
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with EgressProxy("a.mp4", Settings(allowed_hosts=("127.0.0.1",)), unknown) as proxy:
        assert get(proxy.url, "http://gone.example/", tunnel=tunnel)[0] == 502
        assert isinstance(proxy.failure, DownloadError)
        assert proxy.failure.retryable
        assert "no such host" in str(proxy.failure)
        assert get(proxy.url, f"http://127.0.0.1:{unused_port}/", tunnel=tunnel)[0] == 502
        assert "can't be reached" in str(proxy.failure)


@BOTH_WAYS
def test_the_next_address_is_tried(site: Site, tunnel: bool):
    site.put("/a.mp4", b"meow")
    port = urlsplit(site.url).port
    settings = Settings(allow_private_networks=True)
    with EgressProxy("a.mp4", settings, lambda *_: ["::1", "127.0.0.1"]) as proxy:
        assert get(proxy.url, f"http://two.example:{port}/a.mp4", tunnel=tunnel) == (200, b"meow")


# ── Ceilings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH_WAYS
def test_all_connections_together_keep_to_the_ceiling(site: Site, tunnel: bool):
    url = site.put("/a.mp4", bytes(1 << 20))
    with EgressProxy("a.mp4", Settings(max_download_bytes=1)) as proxy:
        for _ in range((wire_ceiling(1) >> 20) - 1):
            assert get(proxy.url, url, tunnel=tunnel)[0] == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            get(proxy.url, url, tunnel=tunnel)
        assert isinstance(proxy.stopped, SourceTooLargeError)
        with pytest.raises(OSError, match="refused"):
            get(proxy.url, url, tunnel=tunnel)


@BOTH_WAYS
@pytest.mark.parametrize("slow", ["headers", "body", "drip", "lookup"])
def test_one_deadline_holds_for_everything(site: Site, slow: str, tunnel: bool):
    seconds = 0.5
    answered = threading.Event()

    def never(host: str, port: int) -> Sequence[str]:
        answered.wait()
        return ["127.0.0.1"]

    url = {
        "headers": lambda: site.put("/a", stall_before=True),
        "body": lambda: site.put("/a", bytes(1000), stall_after=500),
        "drip": lambda: site.put("/a", bytes(1000), drip_after=0, with_length=False),
        "lookup": lambda: "http://slow.example/a",
    }[slow]()
    settings = Settings(download_timeout=seconds)
    began = time.monotonic()
    with EgressProxy("a.mp4", settings, never) as proxy:
        # Reset, not closed: without a length, that would be the end of the file.
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            get(proxy.url, url, tunnel=tunnel)
        took = time.monotonic() - began
        assert isinstance(proxy.stopped, DownloadError)
        assert "0.5 seconds" in str(proxy.stopped)
    answered.set()
    assert seconds <= took < seconds + 1


# ── A further proxy ───────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH_WAYS
@pytest.mark.parametrize("address", [PUBLIC, "2606:4700:4700::1111"])
def test_the_proxy_of_the_environment_is_given_the_checked_address(
    behind: FurtherProxy, site: Site, address: str, tunnel: bool
):
    with EgressProxy("a.mp4", Settings(), lambda *_: [address]) as proxy:
        assert get(proxy.url, "http://public.example:8080/a.mp4", tunnel=tunnel) == (200, b"meow")
    assert behind.targets == [f"[{address}]:8080" if ":" in address else f"{address}:8080"]
    assert behind.credentials == ("" if tunnel else "user:p@ss")
    assert site.requests[0]["Host"] == "public.example:8080"


@BOTH_WAYS
def test_the_proxy_of_the_environment_is_no_way_around_the_rules(behind: FurtherProxy, tunnel: bool):
    with EgressProxy("a.mp4", Settings(allowed_hosts=()), lambda *_: ["10.0.0.1"]) as proxy:
        assert get(proxy.url, "http://private.example/", tunnel=tunnel)[0] == 403
    assert behind.targets == []


def test_hosts_that_the_environment_excepts_are_reached_directly(
    behind: FurtherProxy, site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with EgressProxy("a.mp4", Settings()) as proxy:
        assert get(proxy.url, site.url + "/a.mp4") == (200, b"meow")
    assert behind.targets == []


@BOTH_WAYS
def test_a_further_proxy_that_refuses(behind: FurtherProxy, tunnel: bool):
    behind.status = "407 Who are you?"
    with EgressProxy("a.mp4", Settings(), lambda *_: [PUBLIC]) as proxy:
        assert get(proxy.url, "http://public.example/", tunnel=tunnel)[0] == 403
        assert "answers 407" in str(proxy.failure)
        assert "p@ss" not in str(proxy.failure)


@BOTH_WAYS
def test_a_further_proxy_that_is_not_there(unused_port: int, monkeypatch: pytest.MonkeyPatch, tunnel: bool):
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{unused_port}")
    with EgressProxy("a.mp4", Settings(), lambda *_: [PUBLIC]) as proxy:
        assert get(proxy.url, "http://public.example/", tunnel=tunnel)[0] == 502
        assert "can't be reached" in str(proxy.failure)


@pytest.mark.parametrize("given", ["socks5://127.0.0.1:1080", "http://", "http://a:b:c"])
def test_a_further_proxy_of_another_kind_is_not_gone_past(canary: Site, given: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", given)
    with EgressProxy("a.mp4", Settings(allowed_hosts=("127.0.0.1",))) as proxy:
        assert get(proxy.url, canary.url)[0] == 403
        assert "ALL_PROXY" in str(proxy.failure)


def test_who_connects_at_the_very_end_is_sent_away(monkeypatch: pytest.MonkeyPatch):
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    for number in range(200):
        with EgressProxy("cats.mp4", Settings()) as proxy:
            place = ("127.0.0.1", urlsplit(proxy.url).port)
            connected = [socket.create_connection(place) for _ in range(1 + number % 4)]
        for connection in connected:
            connection.close()
        del proxy
    gc.collect()
    assert lost == []
