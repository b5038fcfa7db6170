"""Asks a question about a video on this machine: python examples/ask_local.py [VIDEO] [QUESTION] [MODEL]."""

import sys

from video_tool import VideoQA
from video_tool.builtin import DEMO_VIDEO


def main(video: str = str(DEMO_VIDEO), question: str = "What happens in the video?", model: str = "builtin") -> None:
    answer = VideoQA(model).ask(question, videos=[video], num_frames=8)
    print(answer.text)
    for frame in answer.frames:
        print(f"  frame {frame.index} at {frame.timestamp:.2f} s")
    for warning in answer.warnings:
        print(f"  note: {warning}")


if __name__ == "__main__":
    main(*sys.argv[1:])
