import time
from email.message import Message
from email.utils import formatdate

import pytest

from video_tool.sources.freshness import DEFAULT_LIFETIME, Freshness, digest

URL = "https://site.example/cats.mp4"


def headers(**given: str) -> Message:
    message = Message()
    for name, value in given.items():
        message[name.replace("_", "-")] = value
    return message


def of_file(**given: str) -> Freshness:
    freshness = Freshness.of_file(URL, headers(**given))
    assert freshness is not None
    return freshness


@pytest.mark.parametrize(
    ("control", "lifetime", "must_revalidate"),
    [
        ("", DEFAULT_LIFETIME, False),
        ("public", DEFAULT_LIFETIME, False),
        ("max-age=60", 60, False),
        ("private, Max-Age=60 , must-revalidate", 60, True),
        ('max-age="60"', 60, False),
        ('private="a, max-age=1", max-age=60', 60, False),
        ("max-age=0", 0, False),
        ("max-age=soon", 0, False),
        ("max-age=-1", 0, False),
        ("max-age=" + "9" * 400, 2**31, False),
        ("no-cache", 0, True),
        ('no-cache="Set-Cookie", max-age=60', 0, True),
        ("s-maxage=60", DEFAULT_LIFETIME, False),
    ],
)
def test_what_cache_control_says(control: str, lifetime: float, must_revalidate: bool):
    freshness = of_file(Cache_Control=control)
    assert (freshness.lifetime, freshness.must_revalidate) == (lifetime, must_revalidate)
    assert Freshness.model_validate_json(freshness.model_dump_json()) == freshness


def test_what_may_not_be_kept():
    assert Freshness.of_file(URL, headers(Cache_Control="max-age=60, No-Store")) is None


def test_several_headers_are_one():
    message = headers(Cache_Control="private")
    message["Cache-Control"] = "no-store"
    assert Freshness.of_file(URL, message) is None


def test_the_time_in_other_caches_counts():
    assert of_file(Cache_Control="max-age=60", Age="50").lifetime == 10
    assert of_file(Cache_Control="max-age=60", Age="70").lifetime == 0


def test_expires_counts_from_the_servers_own_clock():
    sent = 1_000_000_000
    dates = {"Date": formatdate(sent, usegmt=True), "Expires": formatdate(sent + 60, usegmt=True)}
    assert of_file(**dates).lifetime == 60
    assert of_file(**dates, Cache_Control="max-age=5").lifetime == 5
    assert of_file(Expires=dates["Expires"]).lifetime == 0
    assert of_file(Expires="0").lifetime == 0
    assert of_file(Expires=dates["Expires"], Date="yesterday").lifetime == 0


def test_how_long_it_holds():
    now = time.time()
    fresh = of_file(Cache_Control="max-age=60")
    assert fresh.holds(now + 60)
    stale = fresh.model_copy(update={"checked": now - 60})
    assert not stale.holds(now)
    assert stale.holds(now - 61)  # asked before it was checked: it has been waited for
    from_the_future = fresh.model_copy(update={"checked": now + 1000})  # the clock was put back
    assert not from_the_future.holds(now)


def test_the_conditions():
    both = of_file(ETag='W/"1"', Last_Modified="Sun, 09 Sep 2001 01:46:40 GMT")
    assert both.conditions() == {
        "If-None-Match": 'W/"1"',
        "If-Modified-Since": "Sun, 09 Sep 2001 01:46:40 GMT",
    }
    assert of_file().conditions() == {}
    assert Freshness.of_page().conditions() == {}


def test_a_304_makes_it_fresh_again():
    stale = of_file(ETag='"1"', Cache_Control="max-age=60, must-revalidate").model_copy(update={"checked": 0.0})
    silent = stale.renewed(headers())
    assert silent.holds(time.time() + 1)
    assert (silent.lifetime, silent.must_revalidate, silent.etag) == (60, True, '"1"')
    changed = stale.renewed(headers(Cache_Control="max-age=5", ETag='"2"', Last_Modified="now"))
    assert (changed.lifetime, changed.must_revalidate, changed.etag, changed.last_modified) == (5, False, '"2"', "now")
    assert changed.origin == stale.origin


def test_an_address_is_kept_as_a_digest():
    secret = "https://user:SECRET@site.example/cats.mp4?SECRET"
    freshness = Freshness.of_file(secret, headers())
    assert freshness is not None
    assert "SECRET" not in freshness.model_dump_json()
    assert freshness.origin == digest(secret)
