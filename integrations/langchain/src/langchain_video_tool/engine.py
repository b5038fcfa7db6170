"""Which engine the tools ask, as fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from video_tool import Settings, Toolbox

_OF_AN_ENGINE = ("model", "settings", "allowed_roots", "options")


class EngineFields(BaseModel):
    """With none of these fields given, tools ask the one engine of the process, which `VIDEO_TOOL_*` configure."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str | Path | None = Field(
        default=None,
        description="The video model: a name on the Hugging Face hub, a folder, `builtin`, or `openai:NAME` on a "
        "server. By default what VIDEO_TOOL_MODEL says.",
    )
    settings: Settings | None = Field(
        default=None, repr=False, description="Limits, and what may be reached. By default what VIDEO_TOOL_* say."
    )
    allowed_roots: tuple[Path, ...] | None = Field(
        default=None,
        description="Folders whose files the calling model may name, with all below them. By default those of the "
        "settings, and none where they don't say: only URLs are taken.",
    )
    timeout: PositiveFloat | None = Field(
        default=None,
        description="Seconds that one call may take. By default, and at the most, the settings' call_timeout.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,  # may hold an api_key
        exclude=True,
        description="How the model is loaded or reached: what else `video_tool.VideoQA` takes, such as device, dtype, "
        "quantization, base_url or api_key.",
    )
    toolbox: Toolbox | None = Field(
        default=None,
        repr=False,
        exclude=True,
        description="An engine that there is already, to be shared. It is instead of all other fields but timeout.",
    )

    @model_validator(mode="after")
    def _make_toolbox(self) -> Self:
        given = [name for name in _OF_AN_ENGINE if name in self.model_fields_set]
        if given and self.toolbox is not None:
            raise ValueError(f"toolbox comes with its own {given[0]}: give one of the two")
        if given:
            self.toolbox = Toolbox(self.model, settings=self._settings(), **self.options)
        return self

    def _settings(self) -> Settings | None:
        if self.allowed_roots is None:
            return self.settings
        settings = self.settings or Settings()
        return settings.model_copy(update={"allowed_roots": Settings(allowed_roots=self.allowed_roots).allowed_roots})
