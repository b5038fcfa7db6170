"""Frames resized while they are read are, bit for bit, what the processor would have made of the whole ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.checkpoints import SIDE, processor
from video_tool import VideoQA
from video_tool.frames import FrameSize, read_video
from video_tool.models.resizing import frame_size
from video_tool.question import Sampling, VideoQuestion
from video_tool.settings import Settings

SETTINGS = Settings()


class Holder:
    """A processor, as far as frames go."""

    def __init__(self, image_processor: object) -> None:
        self.image_processor = image_processor


@pytest.mark.parametrize("resample", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(96, 96), (40, 72), (200, 300)])
def test_frames_resized_beforehand_give_the_same_pixels(
    size: tuple[int, int], resample: int, lossless_videos: tuple[Path, Path]
) -> None:
    images = SiglipImageProcessorPil(size={"height": size[0], "width": size[1]}, resample=resample)
    found = frame_size(Holder(images))
    assert found == FrameSize(size[1], size[0], resample)
    for video in lossless_videos:
        whole = read_video(video, Sampling(num_frames=3), SETTINGS)
        resized = read_video(video, Sampling(num_frames=3), SETTINGS, frame_size=lambda: found)
        assert resized.images.shape == (3, *size, 3)
        assert resized.info == whole.info
        made, expected = (
            images(images=[Image.fromarray(image) for image in frames.images], return_tensors="np")["pixel_values"]
            for frames in (resized, whole)
        )
        assert np.array_equal(made, expected)


@pytest.mark.parametrize(
    "images",
    [
        CLIPImageProcessorPil(size={"shortest_edge": 44}, crop_size={"height": 44, "width": 44}),
        SiglipImageProcessorPil(size={"height": 44, "width": 44}, do_resize=False),
        LlavaNextImageProcessorPil(size={"height": 44, "width": 44}),
        Gemma3ImageProcessorPil(
            size={"height": 44, "width": 44},
            do_pan_and_scan=True,
            pan_and_scan_min_crop_size=256,
            pan_and_scan_max_num_crops=4,
            pan_and_scan_min_ratio_to_activate=1.2,
        ),
        None,
    ],
    ids=["cropped", "not resized", "in tiles", "large ones in crops", "no images"],
)
def test_a_processor_that_does_more_or_less_gets_whole_frames(images: object) -> None:
    assert frame_size(Holder(images)) is None


def test_the_engine_reads_frames_in_the_models_size(qa: VideoQA, lossless_videos: tuple[Path, Path]) -> None:
    assert frame_size(processor()) == FrameSize(SIDE, SIDE, 3)
    qa.ask("What?", videos=lossless_videos, num_frames=1, max_new_tokens=1)  # loads the model
    (message,) = qa.read(
        VideoQuestion(question="What?", videos=lossless_videos, sampling=Sampling(num_frames=4))
    ).messages
    assert [video.images.shape for video in message.videos] == [(4, SIDE, SIDE, 3)] * 2
    assert [(video.info.width, video.info.height) for video in message.videos] == [(64, 64), (96, 64)]
