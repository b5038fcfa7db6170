"""Compares two videos, then asks on: python examples/compare_two_videos.py VIDEO VIDEO [MODEL]."""

import sys

from video_tool import VideoQA


def main(first: str, second: str, model: str = "builtin") -> None:
    conversation = VideoQA(model).conversation(videos=[first, second], num_frames=6)
    for question in (
        "Are the two shapes in these two videos doing the same thing?",
        "What is in the first video?",
        "And in the second video?",
    ):
        answer = conversation.ask(question)
        print(f"{question}\n  {answer.text}  ({answer.timings.total:.2f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
