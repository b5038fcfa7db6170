"""The first stage: from a reference (path, URL, bytes, file object) to a local file.

`naming` is what errors and answers call a reference, without the secrets in it; `policy` says which references may be
opened or fetched; `opening` has `open_source`: a reference in, a file out, nothing left behind; `download` is yt-dlp,
its fixed options, and its errors in our words; `limits` keeps yt-dlp to a number of bytes and seconds; `failures` are
the errors that a copy and a download share.
"""

from video_tool.sources.opening import SourceFile, open_source

__all__ = ["SourceFile", "open_source"]
