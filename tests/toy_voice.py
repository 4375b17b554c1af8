"""Voices that no one trained: they speak noise, and end where a test wants them to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from toy import toy_config

from wavetts.model.checkpoint import save_model
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer


def save_voice(folder: Path, stop: Literal["never", "at once", "untrained"] = "untrained") -> Path:
    """A run folder with a model that reads lower-case letters, ',', '.' and "'"."""
    config = toy_config()
    tokenizer = Tokenizer.build(["abcdefghijklmnopqrstuvwxyz ,.'"], "characters", "en-us")
    torch.manual_seed(0)
    model = WaveTacotron(config, len(tokenizer.symbols))
    # As loud as speech: what is beyond full scale would be taken for noise of a model that went astray.
    model.scale.fill_(20.0)
    if stop != "untrained":
        torch.nn.init.zeros_(model.decoder.stop.weight)
        torch.nn.init.constant_(model.decoder.stop.bias, -20.0 if stop == "never" else 20.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model.safetensors", model.state_dict(), config, tokenizer, {"step": 0})
    return folder
