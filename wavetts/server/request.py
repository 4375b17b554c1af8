"""What a request for speech may say, in OpenAI's words."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wavetts.server.gate import ApiError
from wavetts.synthesis.settings import MAX_SPEED, MIN_SPEED

MODEL = "wavetts"
# Names that OpenAI's clients send; every voice has a model of its own, so that the name makes no difference.
MODEL_ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
MODEL_ENTRY = {"id": MODEL, "object": "model", "created": 0, "owned_by": "wavetts"}


class VoiceName(BaseModel):
    """A voice given as an object, which OpenAI's clients may send."""

    model_config = ConfigDict(extra="forbid")
    id: str


class SpeechRequest(BaseModel):
    """The body of `POST /v1/audio/speech`; seed and temperature are extensions of OpenAI's.

    Fields that the voices can do nothing with are ignored, as other servers of this endpoint do, and named in a header
    of the answer. null is a field's default.
    """

    model_config = ConfigDict(extra="allow")
    model: str
    input: str
    voice: str | VoiceName
    response_format: str = "mp3"
    speed: float = Field(1.0, ge=MIN_SPEED, le=MAX_SPEED)
    stream_format: Literal["audio", "sse"] | None = None
    instructions: str | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    temperature: float | None = Field(None, ge=0, le=2)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that make no difference."""
        return ["instructions"] * bool(self.instructions) + sorted(self.model_extra or {})


def check_model(name: str) -> None:
    """Raises an ApiError if there is no such model."""
    if name != MODEL and name not in MODEL_ALIASES:
        raise ApiError(404, f"no model {name[:60]!r} here: {MODEL}", "model", "model_not_found")
