"""Asks a question about a video on the web: python examples/ask_url.py URL [QUESTION] [MODEL].

URL is a video file's address or the page of a site that yt-dlp knows.
"""

import sys

from video_tool import Progress, VideoQA, VideoToolError


def show(progress: Progress) -> None:
    if progress.stage == "download":
        total = f"{progress.total:,}" if progress.total else "?"
        print(f"  {progress.subject}: {progress.done:,} of {total} bytes", file=sys.stderr)


def main(url: str, question: str = "What happens in the video?", model: str = "builtin") -> None:
    try:
        answer = VideoQA(model, on_progress=show).ask(question, videos=[url])
    except VideoToolError as error:
        sys.exit(f"{error} {error.hint}")
    print(answer.text)
    print(f"  {len(answer.frames)} frames of {answer.videos[0].name}, {answer.videos[0].duration:.1f} s long")


if __name__ == "__main__":
    main(*sys.argv[1:])
