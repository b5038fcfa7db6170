"""The first stage: from a reference (path, URL, bytes, file object) to a local file.

`naming` is what errors and answers call a reference, without the secrets in it; `policy` says which references may be
opened or fetched; `opening` has `open_source`: a reference in, a file out, nothing left behind; `scratch` has the
private folders for that; `failures` are the errors that a copy and a download share.

`download` is yt-dlp, its fixed options, and its errors in our words; `limits` keeps yt-dlp to a number of bytes and
seconds; `conditional` has it ask only for what has changed.

`cache` keeps downloads for the next time; `freshness` says how long they need no asking, `store` is the folder that
they lie in, for all processes of a user, with `entries` about them, and `locking` keeps the processes apart.
"""

from video_tool.sources.opening import SourceFile, open_source

__all__ = ["SourceFile", "open_source"]
