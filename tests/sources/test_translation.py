import pytest
from yt_dlp.networking.exceptions import CertificateVerifyError
from yt_dlp.utils import DownloadError as YtdlpError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError

from video_tool.errors import DownloadError, SourceError, SourceNotFoundError, SourceRefusedError, StorageError
from video_tool.sources.translation import translate

URL = "https://user:SECRET@site.example/watch?v=SECRET"


def translated(cause: Exception, text: str = "ERROR") -> SourceError:
    """Our error for one of yt-dlp's, after a look at what every one has to have."""
    upstream = YtdlpError(text)
    upstream.__context__ = cause
    ours = translate(upstream, URL)
    assert ours.hint
    assert "SECRET" not in str(ours) + ours.hint
    assert "\n" not in str(ours)
    return ours


@pytest.mark.parametrize(
    ("said", "error", "words", "hint"),
    [
        ("Sign in to confirm you’re not a bot. Use --cookies", SourceRefusedError, "not a bot", "COOKIES_FILE"),
        ("Sign in to confirm your age", SourceRefusedError, "sign-in", "COOKIES_FILE"),
        ("This video is only available for registered users. Use --cookies", SourceRefusedError, "sign-in", "COOKIES"),
        ("You need to log in to access this content", SourceRefusedError, "sign-in", "COOKIES_FILE"),
        ("This video is protected by a password", SourceRefusedError, "password", "COOKIES_FILE"),
        ("Private video. Sign in if you've been granted access", SourceRefusedError, "is private", "owner"),
        ("Join this channel to get access to members-only content", SourceRefusedError, "subscribers", "COOKIES_FILE"),
        ("This video requires payment: it is for Premium users", SourceRefusedError, "subscribers", "another copy"),
        ("This video is DRM protected", SourceRefusedError, "DRM", "another copy"),
        ("The uploader has not made this video available in your country", SourceRefusedError, "country", "PROXY"),
        ("This content is not available in your region", SourceRefusedError, "country", "HTTPS_PROXY"),
        ("This live event will begin in 3 hours.", SourceRefusedError, "live stream", "recording"),
        ("The channel is not currently live", SourceRefusedError, "live stream", "recording"),
        ("Video unavailable", SourceNotFoundError, "Video unavailable", "address"),
        ("This video has been removed by the uploader", SourceNotFoundError, "removed", "address"),
        ("This video is no longer available: the account has been terminated", SourceNotFoundError, "gone", "address"),
        ("Requested format is not available. Use --list-formats", SourceNotFoundError, "no video", "own page"),
        ("No video formats found!", SourceNotFoundError, "no video", "own page"),
        ("Something else, see https://site.example/help?id=7", DownloadError, "https://site.example/help", "yt-dlp"),
        ("Video unavailable: SECRET", SourceNotFoundError, "is gone", "address"),
    ],
)
def test_what_sites_say(said: str, error: type[SourceError], words: str, hint: str):
    ours = translated(ExtractorError(said, expected=True, ie="youtube", video_id="abc"))
    assert type(ours) is error
    assert words in str(ours)
    assert hint in ours.hint
    assert not ours.retryable


@pytest.mark.parametrize("said", ["HTTP Error 429: Too Many Requests", "You have been rate-limited. Try again later"])
def test_a_site_that_has_enough_of_us(said: str):
    ours = translated(ExtractorError(said, expected=True))
    assert type(ours) is DownloadError
    assert ours.retryable
    assert ours.retry_after == 60
    assert "60 seconds" in ours.hint


def test_errors_that_have_a_type():
    assert "country" in str(translated(GeoRestrictedError("only in Iceland", countries=["IS"])))
    unsupported = translated(UnsupportedError(URL))
    assert type(unsupported) is SourceNotFoundError
    assert "not supported" in str(unsupported)
    assert "yt-dlp" in unsupported.hint
    assert "certificate" in str(translated(CertificateVerifyError("self-signed certificate")))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("ERROR: unable to write data: [Errno 28] No space left on device", StorageError, "temp folder"),
        ("ERROR: This format is DRM protected; Try another", SourceRefusedError, "DRM"),
        ("ERROR: m3u8 download detected but ffmpeg could not be found", SourceRefusedError, "encrypted"),
        ("ERROR: The downloaded file is empty", SourceNotFoundError, "0 bytes"),
        ("ERROR: something that yt-dlp never said before SECRET", DownloadError, "can't be downloaded"),
    ],
)
def test_errors_without_a_type(text: str, error: type[SourceError], words: str):
    ours = translate(YtdlpError(text), URL)
    assert type(ours) is error
    assert words in str(ours)
    assert "SECRET" not in str(ours)


def test_a_site_that_changed_is_not_quoted():
    ours = translated(ExtractorError("Unable to extract title", ie="youtube"))
    assert str(ours) == "https://site.example/watch can't be downloaded"
    assert "yt-dlp" in ours.hint
