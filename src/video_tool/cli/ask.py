"""`video-tool ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from video_tool.cli.options import (
    VIDEO_HELP,
    Adapter,
    AdapterRevision,
    AsJson,
    Attention,
    BaseUrl,
    Compile,
    Device,
    DeviceMap,
    Dtype,
    End,
    Fit,
    Fps,
    Kind,
    KVCache,
    Model,
    NoCache,
    NumFrames,
    Offline,
    Quantize,
    Revision,
    Start,
    Strategy,
    Timestamps,
    TrustRemoteCode,
    VisualTokens,
    load_settings,
    read_references,
    read_schema,
    read_timestamps,
)
from video_tool.cli.progress import shown_progress
from video_tool.cli.terminal import print_json, print_text, stderr_console
from video_tool.errors import QuestionError

_ANSWER = "Answer"


def ask(
    question: Annotated[
        str,
        typer.Argument(help="What to ask. <video> and <image> in it say where each goes.", show_default=False),
    ],
    videos: Annotated[list[str] | None, typer.Argument(metavar="[VIDEO]...", help=VIDEO_HELP)] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--image", "-i", metavar="IMAGE", help="An image to look at besides; repeatable."),
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
    num_frames: NumFrames = None,
    fps: Fps = None,
    strategy: Strategy = "uniform",
    timestamps: Timestamps = None,
    start: Start = None,
    end: End = None,
    fit: Fit = "error",
    system: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What the model is told before anything else.", rich_help_panel=_ANSWER),
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choice",
            metavar="TEXT",
            help="The likeliest of these is the answer; repeatable, nothing is generated.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON schema; the answer is JSON that fits it.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    logprobs: Annotated[
        bool,
        typer.Option("--logprobs", help="With --json: tell how likely each token was.", rich_help_panel=_ANSWER),
    ] = False,
    top_logprobs: Annotated[
        int | None,
        typer.Option(help="With --logprobs: tell so many of the likeliest tokens, too.", rich_help_panel=_ANSWER),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(help="Most tokens that the answer may have.", rich_help_panel=_ANSWER)
    ] = 100,
    max_seconds: Annotated[
        float | None, typer.Option(help="Seconds after which generating ends.", rich_help_panel=_ANSWER)
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="The answer ends before this; repeatable.", rich_help_panel=_ANSWER),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(help="0 always takes the likeliest token; above 0 tokens are drawn.", rich_help_panel=_ANSWER),
    ] = 0.0,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw from the likeliest tokens that have this share together.", rich_help_panel=_ANSWER),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from so many of the likeliest tokens.", rich_help_panel=_ANSWER)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draw the same tokens again.", rich_help_panel=_ANSWER)] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(help="Above 1, what was said already becomes less likely.", rich_help_panel=_ANSWER),
    ] = None,
    visual_tokens: VisualTokens = "all",
    device: Device = "auto",
    dtype: Dtype = "auto",
    attention: Attention = "auto",
    kind: Kind = None,
    device_map: DeviceMap = None,
    quantization: Quantize = None,
    compiled: Compile = False,
    kv_cache: KVCache = None,
    revision: Revision = None,
    adapter: Adapter = None,
    adapter_revision: AdapterRevision = None,
    trust_remote_code: TrustRemoteCode = None,
    offline: Offline = False,
    no_cache: NoCache = False,
) -> None:
    """Ask a question about videos and images.

    The answer goes to stdout; what it rests on (frames, model, tokens, seconds, warnings) to stderr.
    """
    if logprobs and not as_json:
        raise QuestionError("--logprobs is given without --json", hint="Add --json: that is where it is told.")
    settings = load_settings(no_cache=no_cache)
    response_format = None if schema is None else read_schema(schema)
    media = read_references([*(videos or ()), *(images or ())])
    cut = len(videos or ())

    from video_tool.engine import VideoQA

    with shown_progress() as on_progress:
        qa = VideoQA(
            model,
            settings=settings,
            on_progress=on_progress,
            device=device,
            dtype=dtype,
            attention=attention,
            kind=kind,
            device_map=device_map,
            quantization=quantization,
            compile=compiled,
            kv_cache=kv_cache,
            revision=revision,
            adapter=adapter,
            adapter_revision=adapter_revision,
            trust_remote_code=trust_remote_code,
            offline=offline,
            base_url=base_url,
        )
        answer = qa.ask(
            question,
            media[:cut],
            media[cut:],
            num_frames=num_frames,
            fps=fps,
            strategy=strategy,
            timestamps=read_timestamps(timestamps),
            start=start,
            end=end,
            fit=fit,
            system=system,
            choices=choices or (),
            response_format=response_format,
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            max_new_tokens=max_new_tokens,
            max_seconds=max_seconds,
            stop=stop or (),
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            repetition_penalty=repetition_penalty,
            visual_tokens=visual_tokens,
        )
    if as_json:
        print_json(answer.model_dump_json(indent=2))
        return
    print_text(answer.text)

    from video_tool.cli.receipt import receipt

    stderr_console().print(receipt(answer))
