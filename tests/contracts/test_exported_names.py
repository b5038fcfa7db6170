"""The names that users may import; taking one away, or adding one, is a decision."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import video_tool
from video_tool import GenerationOptions, Sampling, VideoQA, errors
from video_tool.question import AnswerOptions, AskOptions, SamplingOptions

NAMES = [
    "CancelScope",
    "ChoiceScore",
    "Conversation",
    "Example",
    "FeatureCacheUse",
    "FrameSequence",
    "FrameStamp",
    "GenerationOptions",
    "ModelInfo",
    "Plan",
    "PrefixCacheUse",
    "Progress",
    "Sampling",
    "Settings",
    "Timings",
    "TokenLogprob",
    "Toolbox",
    "TopLogprob",
    "Usage",
    "VideoAnswer",
    "VideoInfo",
    "VideoQA",
    "VideoQuestion",
    "VideoToolError",
]

ERRORS = {
    "VideoToolError": 1,
    "QuestionError": 2,
    "SourceError": 3,
    "SourceNotFoundError": 3,
    "SourceRefusedError": 3,
    "SourceTooLargeError": 3,
    "StorageError": 3,
    "DownloadError": 3,
    "DecodeError": 4,
    "NoVideoError": 4,
    "DecodeTimeoutError": 4,
    "VideoTooLargeError": 4,
    "PromptError": 5,
    "PlaceholderError": 5,
    "ContextLengthError": 5,
    "ModelError": 6,
    "ModelNotFoundError": 6,
    "CheckpointError": 6,
    "UntrustedCodeError": 6,
    "StructuredOutputError": 6,
    "OutOfMemoryError": 6,
    "ServerError": 6,
    "ServerRefusedError": 6,
    "ServerTimeoutError": 6,
    "RateLimitError": 6,
    "CancelledError": 1,
    "DeadlineError": 1,
    "BusyError": 1,
    "MissingDependencyError": 7,
}
"""With the exit codes of the command line."""


def test_no_more_and_no_less_is_exported() -> None:
    assert video_tool.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_exported_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    exported = getattr(video_tool, name)
    assert inspect.isclass(exported)
    assert exported.__name__ == name
    assert exported.__doc__
    assert name in dir(video_tool)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'VideoQandA'"):
        _ = video_tool.VideoQandA


def test_the_errors_and_their_exit_codes() -> None:
    found = {
        name: error.exit_code
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, video_tool.VideoToolError)
    }
    assert found == ERRORS


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_drawn_in_the_tree(name: str) -> None:
    assert errors.__doc__
    assert name in errors.__doc__


def packages() -> list[str]:
    found = pkgutil.walk_packages(video_tool.__path__, "video_tool.")
    return [module.name for module in found if module.ispkg]


@pytest.mark.parametrize("name", packages())
def test_packages_export_what_they_have(name: str) -> None:
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        assert getattr(module, exported) is not None


def test_every_way_to_ask_takes_the_same_options() -> None:
    assert list(SamplingOptions.__annotations__) == list(Sampling.model_fields)
    assert set(AnswerOptions.__annotations__) == set(GenerationOptions.model_fields)
    ask = inspect.signature(VideoQA.ask).parameters
    for way in (VideoQA.aask, VideoQA.stream, VideoQA.astream):
        assert inspect.signature(way).parameters == ask
    for option in AskOptions.__annotations__:
        assert option in str(VideoQA.ask.__doc__)
