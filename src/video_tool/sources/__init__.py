"""The first stage: from a reference (path, URL, bytes, file object) to a local file.

opening.py      `open_source`: a reference in, a file out, nothing left behind
policy.py       what may be reached and opened; addresses.py knows which hosts are public
download.py     fetching a URL with yt-dlp, under a fixed set of options
ytdlp.py        yt-dlp confined to one proxy; bodies.py keeps what it is sent to a ceiling
egress.py       that proxy: looks up (lookup.py), checks, connects, counts; upstream.py is the environment's
translation.py  yt-dlp's errors in our words
failures.py     errors that several ways of getting a file can end in alike
cache.py        downloads kept for the next time; freshness.py says how long, conditional.py asks what has changed
store.py        the folder that they lie in, with entries.py about them; locking.py keeps processes apart
scratch.py      private folders for what is not kept
plugged.py      references with a scheme of a plugin's
naming.py       what errors and answers call a reference, without the secrets in it
"""

from video_tool.sources.opening import SourceFile, open_source

__all__ = ["SourceFile", "open_source"]
