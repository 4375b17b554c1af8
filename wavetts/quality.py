"""DNSMOS: what listeners would say of the sound, guessed by a network that hears it without a reference."""

from __future__ import annotations

import importlib.util

import numpy as np

from wavetts.audio import resample

DNSMOS_RATE = 16000


def missing_quality() -> str | None:
    """Why there is no DNSMOS, or None if there is."""
    # speechmos does not declare what it imports.
    if not all(importlib.util.find_spec(name) for name in ("speechmos", "onnxruntime", "requests")):
        return "pip install 'wavetts[evaluate]'"
    return None


def dnsmos(samples: np.ndarray, rate: int) -> dict[str, float]:
    """DNSMOS P.835 and P.808 (Reddy et al. 2022), opinion scores from 1 to 5; clips below 9 s are repeated up to it.

    Trained on noisy and cleaned telephone speech: it hears hiss, clicks and muffling, and knows nothing of the words.

    Args:
        samples: (S,), not empty.
        rate: in Hz.

    Returns:
        "dnsmos" (overall), "dnsmos_signal" (the speech), "dnsmos_background" (the rest), "dnsmos_p808".
    """
    from speechmos import dnsmos

    scores = dnsmos.run(np.clip(resample(samples, rate, DNSMOS_RATE), -1, 1), DNSMOS_RATE)
    names = {
        "dnsmos": "ovrl_mos",
        "dnsmos_signal": "sig_mos",
        "dnsmos_background": "bak_mos",
        "dnsmos_p808": "p808_mos",
    }
    return {name: float(scores[theirs]) for name, theirs in names.items()}
