"""DNSMOS: a network's estimate of the opinion score that listeners would give, without a reference."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from wavetts.audio.waveform import resample
from wavetts.extras import missing_extra

DNSMOS_RATE = 16000


def missing_quality() -> str | None:
    """What to install for DNSMOS, or None if it is installed."""
    # speechmos does not declare what it imports.
    return missing_extra("evaluate", "speechmos", "onnxruntime", "requests")


def dnsmos(samples: np.ndarray, rate: int) -> dict[str, float]:
    """DNSMOS P.835 and P.808 (Reddy et al. 2022), opinion scores from 1 to 5; clips below 9 s are repeated up to it.

    It was trained on noisy and denoised telephone speech: it responds to hiss, clicks and muffling, not to the words.

    Args:
        samples: (S,), not empty.
        rate: in Hz.

    Returns:
        "dnsmos" (overall), "dnsmos_signal" (the speech), "dnsmos_background" (the background), "dnsmos_p808".
    """
    audio = np.clip(resample(samples, rate, DNSMOS_RATE), -1, 1)
    scores = _scorer()(audio, DNSMOS_RATE, is_personalized_MOS=False)
    names = {
        "dnsmos": "ovrl_mos",
        "dnsmos_signal": "sig_mos",
        "dnsmos_background": "bak_mos",
        "dnsmos_p808": "p808_mos",
    }
    return {name: float(scores[theirs]) for name, theirs in names.items()}


@functools.cache
def _scorer():
    """The scorer of speechmos with one thread per model; by default each uses all cores, which is slower."""
    import onnxruntime
    from speechmos import dnsmos

    folder = Path(dnsmos.__file__).parent / "dnsmos_models"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    scorer = dnsmos.DNSMOS.__new__(dnsmos.DNSMOS)
    for name, file in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
        session = onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        setattr(scorer, name, session)
    return scorer
