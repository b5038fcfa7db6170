"""The command line. Results go to stdout, everything else to stderr.

app.py        the program: its commands, errors as one line, exit codes
ask.py        video-tool ask
look.py       video-tool frames, video-tool probe
fetch.py      video-tool fetch
cache.py      video-tool cache
mcp.py        video-tool mcp
schema.py     video-tool schema
plugins.py    video-tool plugins
doctor.py     video-tool doctor; diagnosis.py finds out what it prints
options.py    what several commands take
receipt.py    what an answer rests on, for a person
report.py     what a video is, for a person
progress.py   bars, on a terminal
terminal.py   where things are printed, and what other packages may not print
"""

from video_tool.cli.app import main

__all__ = ["main"]
