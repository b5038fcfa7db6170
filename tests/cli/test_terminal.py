import io
from collections.abc import Callable

import pytest
from rich.console import Console

from video_tool.answer import FrameStamp, ModelInfo, PrefixCacheUse, Timings, Usage, VideoAnswer, VideoInfo
from video_tool.cli.progress import shown_progress
from video_tool.cli.receipt import receipt
from video_tool.cli.terminal import print_text
from video_tool.progress import ignore_progress

OnTerminal = Callable[..., tuple[int, str]]


def test_nobody_watches_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as on_progress:
        assert on_progress is ignore_progress
    assert capsys.readouterr() == ("", "")


def test_bars_on_a_terminal(terminal: OnTerminal) -> None:
    code = """
from video_tool.cli.progress import shown_progress
from video_tool.progress import Progress
with shown_progress() as tell:
    tell(Progress("download", "https://example.org/" + "long" * 20 + "/[red]cats.mp4", 5_000_000, 20_000_000, "bytes"))
    tell(Progress("download", "dogs.mp4", 7_000, None, "bytes", 2_500_000.0))
    tell(Progress("decode", "cats.mp4", 3, 8, "frames"))
    tell(Progress("load", "builtin", 0, 1, "models"))
    tell(Progress("generate", "builtin", 12, None, "tokens"))
print("after")
"""
    code, shown = terminal(code)

    assert code == 0
    for words in (
        "download",
        "[red]cats.mp4",
        "5.0 MB of 20.0 MB",
        "7.0 kB, 2.5 MB/s",
        "3 of 8 frames",
        "load",
        "12 tokens",
    ):
        assert words in shown
    assert "https://" not in shown  # its beginning is what a long reference loses
    # Transient: the last thing that the terminal is told about the bars is to erase their lines.
    assert shown.rstrip().endswith("after")
    assert "\x1b[2K" in shown.rpartition("12 tokens")[2]


def test_an_answer_holds_no_control_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("a\x1b[2Jb\nc\t\x9bd\r 👩\u200d🚀")

    assert capsys.readouterr().out == "a[2Jb\nc\td 👩\u200d🚀\n"


def test_stdin_that_is_a_terminal_is_no_video(terminal: OnTerminal) -> None:
    code, shown = terminal("from video_tool.cli import main; main(['probe', '-'])")

    assert code == 2
    assert "there is none" in shown


def test_a_command_on_a_terminal_leaves_no_bars_behind(terminal: OnTerminal, video: object) -> None:
    code, shown = terminal("import sys; from video_tool.cli import main; main(['probe', sys.argv[1]])", video)

    assert code == 0
    assert "within the limits" in shown.rstrip().splitlines()[-1]


def test_a_receipt_of_everything() -> None:
    shown = _shown(_answer())

    assert "video 1  [a].mp4 · 64×48 · 3.00 s · h264 · 30 of 90 frames" in shown
    assert "at 0.00, 0.10, 0.20," in shown
    assert "…, 2.80, 2.90 s" in shown
    assert "video 2  b.gif · 64×48 · 1.00 s · 1 of 10 frames" in shown
    assert "images   2" in shown
    assert "model    some/model @ 0123456789ab · cuda:0 · bfloat16 · sdpa" in shown
    assert "tokens   5103 visual + 24 text → 17 new" in shown
    assert "seconds  3.50  decode 0.30 · generate 3.00" in shown
    assert "warning  b.gif has 1 frame\\x1b[31m" in shown
    assert "warning  cut off after 17 new tokens" in shown


def test_a_receipt_of_a_further_question() -> None:
    known = PrefixCacheUse(tokens=5110, hits=1, misses=1, bytes=1 << 20)
    model = _answer().model.model_copy(update={"kv_cache": "8bit"})
    shown = _shown(_answer().model_copy(update={"prefix_cache": known, "model": model}))

    assert "tokens   5103 visual + 24 text → 17 new · 5110 from the prefix cache" in shown
    assert "· 8bit KV cache" in shown


def _shown(answer: VideoAnswer) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(receipt(answer))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _answer() -> VideoAnswer:
    common = {"width": 64, "height": 48, "fps": 10.0, "reader": "decord"}
    return VideoAnswer(
        text="Yes.",
        frames=(
            *(FrameStamp(video=0, index=3 * number, timestamp=number / 10) for number in range(30)),
            FrameStamp(video=1, index=0, timestamp=0.0),
        ),
        videos=(
            VideoInfo(name="[a].mp4", duration=3.0, total_frames=90, codec="h264", **common),
            VideoInfo(name="b.gif", duration=1.0, total_frames=10, codec="", **common),
        ),
        images=2,
        usage=Usage(visual_tokens=5103, text_tokens=24, new_tokens=17),
        timings=Timings(fetch=0.0, decode=0.3, load=0.001, prompt=0.0, generate=3.0, total=3.5),
        warnings=("b.gif has 1\nframe\x1b[31m",),
        model=ModelInfo(
            id="some/model",
            revision="0123456789abcdef",
            device="cuda:0",
            dtype="bfloat16",
            attention="sdpa",
            takes="images",
            kind="chat",
        ),
        finish_reason="length",
    )
