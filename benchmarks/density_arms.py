"""The arms that `density.py` compares: sections of the config, and what begins as another arm's density."""

from __future__ import annotations

from typing import Any

COMPACT = {"kind": "compact", "num_couplings": 8, "hidden_dim": 192, "num_cepstra": 32}
DIFFUSION = {"kind": "diffusion", "hidden_dim": 256, "num_layers": 4, "num_cepstra": 32}
WHOLE = {**DIFFUSION, "network": "conv", "hidden_dim": 96, "num_layers": 6, "squeeze": 20}
HALVES = {"kind": "cascade", "low_length": 160, "low": COMPACT}
TEACHER = "subframe of diffusion"
# 5 ms at 16 kHz.
SUBFRAME = 80


def subframe(**inner: Any) -> dict[str, Any]:
    """The recipe's subframes, of an inner density."""
    past = {"past_noise": 0.5, "past_gain": 0.3, "past_filter": 0.4}
    return {"kind": "subframe", "subframe_length": SUBFRAME, "context_dim": 512, **past, "inner": inner}


def residual(**inner: Any) -> dict[str, Any]:
    """Subframes of which an inner density models the linear-prediction residual; no disturbance is needed."""
    inner = {"kind": "linear_prediction", "precision": "bf16", "inner": inner}
    size = {"subframe_length": SUBFRAME, "context_dim": 512, "precision": "bf16"}
    return {"kind": "subframe", **size, "inner": inner}


def tilted(section: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The section of a density of subframes, or of their residual, with a tilt of the one inside."""
    if section["kind"] in ("subframe", "linear_prediction"):
        return {**section, "inner": tilted(section["inner"], **fields)}
    return {"kind": "tilt", **fields, "inner": section}


ARMS: dict[str, dict[str, Any]] = {
    "gaussian": {"kind": "gaussian"},
    "compact flow": {**COMPACT, "hidden_dim": 384},
    # Scaled down to what a core can train.
    "paper's flow": {"kind": "flow", "num_steps": 4, "hidden_dim": 64},
    "subframe of gaussian": subframe(kind="gaussian"),
    "subframe of compact flow": subframe(**COMPACT),
    "subframe of paper's flow": subframe(kind="flow", num_stages=3, num_steps=4, hidden_dim=64),
    "linear prediction of gaussian": residual(kind="gaussian"),
    "linear prediction of couplings": residual(kind="couplings", precision="bf16"),
    "linear prediction of diffusion": residual(**{**DIFFUSION, "transform": "none", "num_cepstra": 0}),
    TEACHER: subframe(**DIFFUSION),
    "subframe of diffusion, eps": subframe(**DIFFUSION, prediction="eps"),
    "subframe of diffusion, x": subframe(**DIFFUSION, prediction="x"),
    "subframe of diffusion, learned schedule": subframe(**DIFFUSION, schedule="learned"),
    **{
        f"subframe of diffusion, {weighting}": subframe(**DIFFUSION, weighting=weighting, adaptive=True)
        for weighting in ("v_mse", "eps_mse", "sigmoid", "edm_monotone")
    },
    "diffusion": WHOLE,
    "diffusion, sigmoid": {**WHOLE, "weighting": "sigmoid", "adaptive": True},
    "cascade of two flows": {**HALVES, "high": COMPACT},
    "cascade of flow and diffusion": {**HALVES, "high": {**DIFFUSION, "hidden_dim": 384}},
    "subframe of cascade": subframe(kind="cascade", low_length=20, low=COMPACT, high=COMPACT),
}
FLOW, PREDICTED = "subframe of compact flow", "linear prediction of couplings"
RECOVERY = {"kind": "recovery", "chain_steps": 30}
ARMS["subframe of recovery likelihood"] = subframe(**RECOVERY)
ARMS["linear prediction of recovery likelihood"] = residual(**{**RECOVERY, "transform": "none"})
# Of each tilt the arm that it is on top of, and its fields.
TILTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tilt of compact flow": (FLOW, {}),
    "tilt of compact flow, dot product": (FLOW, {"score": "dot", "num_features": 32}),
    "tilt of compact flow, denoising": (FLOW, {"objective": "denoising"}),
    "tilt of compact flow, langevin": (FLOW, {"objective": "langevin", "num_chains": 1000}),
    "tilt of couplings": (PREDICTED, {}),
    "tilt of couplings, dot product": (PREDICTED, {"score": "dot", "num_features": 32}),
}
# Students of the teacher, each of the one before.
STUDENTS = {f"{steps}-step student": steps for steps in (8, 4, 2, 1)}
EVERY = ("recordings", *ARMS, *TILTS, *STUDENTS)
