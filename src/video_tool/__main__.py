"""`python -m video_tool`, the same as `video-tool`."""

from video_tool.cli import main

if __name__ == "__main__":
    main()
