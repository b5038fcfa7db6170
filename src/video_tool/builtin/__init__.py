"""The small model that ships with the package, and the generator of the clips that it understands."""

from importlib.resources import files
from pathlib import Path
from typing import Final

CHECKPOINT: Final = Path(str(files(__name__) / "checkpoint"))
"""The folder of the built-in checkpoint, in the layout that Transformers reads."""

DEMO_VIDEO: Final = Path(str(files(__name__) / "demo.mp4"))
"""A short video that the built-in model understands."""
