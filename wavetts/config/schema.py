"""Every option of a model and of its training, each defined once with a line of documentation.

A config file is YAML with the sections of `Config` (`config_file` reads it). A section that comes in several kinds
(encoder, attention, density) names its kind and takes only that kind's fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


def opt(default: Any, doc: str) -> Any:
    """A config field: its default and its line of documentation."""
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass
class TextConfig:
    """What the network reads."""

    input: Literal["phonemes", "characters"] = opt("phonemes", "symbols that the encoder reads")
    language: str = opt("en-us", "espeak language code of the text front end")


@dataclass
class AudioConfig:
    """The waveform and how it is cut into frames."""

    sample_rate: int = opt(24000, "samples per second")
    frame_length: int = opt(960, "K, samples per frame; the paper's R = 3 is 960 at 24 kHz, 40 ms")
    preemphasis: float = opt(
        0.97, "a of y[n] = x[n] - a x[n-1], applied before the density and undone after it (not published)"
    )
    dither: float = opt(
        0.0,
        "std of Gaussian noise added to the unit-variance pre-emphasised waveform in training, a declared noise floor",
    )


@dataclass
class CBHGConfig:
    """Tacotron's encoder (Wang et al. 2017, section 3.1), the paper's."""

    kind: Literal["cbhg"] = opt("cbhg", "conv bank, highway, bidirectional GRU")
    embedding_dim: int = opt(256, "symbol embedding")
    prenet_dims: list[int] = opt([256, 128], "widths of the pre-net's layers")
    dropout: float = opt(0.5, "pre-net dropout in training")
    bank_size: int = opt(16, "convolutions of widths 1..bank_size")
    hidden_dim: int = opt(128, "channels of the bank, the projections, the highway and each GRU direction")
    num_highway: int = opt(4, "highway layers")


@dataclass
class ConvLSTMConfig:
    """Three convolutions and a bidirectional LSTM (Tacotron 2), for small machines."""

    kind: Literal["conv_lstm"] = opt("conv_lstm", "convolutions with layer norm, bidirectional LSTM")
    hidden_dim: int = opt(128, "embedding, channels and memory dimension (each LSTM direction has half)")
    num_layers: int = opt(3, "convolution layers")
    kernel_size: int = opt(5, "convolution kernel, odd")
    dropout: float = opt(0.1, "dropout after each convolution in training")
    memory_norm: bool = opt(False, "layer norm of the memory, so that it is as large as the samples beside it")


@dataclass
class LocationAttentionConfig:
    """Location-sensitive attention (Chorowski et al. 2015), the paper's."""

    kind: Literal["location"] = opt("location", "content, and convolved previous and cumulative alignments")
    hidden_dim: int = opt(128, "energy dimension")
    num_filters: int = opt(32, "location filters")
    kernel_size: int = opt(31, "location filter length, odd")


@dataclass
class DynamicAttentionConfig:
    """Dynamic convolution attention (Battenberg et al. 2020, section 2.2)."""

    kind: Literal["dynamic"] = opt(
        "dynamic", "static and query-dependent filters of the previous alignment, with a forward prior"
    )
    hidden_dim: int = opt(128, "energy dimension")
    num_filters: int = opt(8, "static filters, and as many dynamic ones")
    kernel_size: int = opt(21, "static and dynamic filter length, odd")
    prior_length: int = opt(
        11, "length of the causal beta-binomial prior filter: the most that one frame can move, plus one"
    )
    prior_alpha: float = opt(0.1, "alpha of the prior; the paper's 0.1 and 0.9 move one token per frame on average")
    prior_beta: float = opt(0.9, "beta of the prior")


@dataclass
class GMMAttentionConfig:
    """Monotonic mixture attention by differences of the distribution function (Battenberg et al. 2020, section 2.1)."""

    kind: Literal["gmm"] = opt("gmm", "mixture whose components only move forward")
    hidden_dim: int = opt(128, "hidden layer that predicts the mixture")
    num_components: int = opt(5, "mixture components")
    step_bias: float = opt(0.6, "tokens per frame that a component moves at the start of training")
    width_bias: float = opt(1.0, "logistic scale of a component in tokens at the start of training")


@dataclass
class ForwardAttentionConfig:
    """Forward attention (Zhang et al. 2018) with a transition agent that knows query and token."""

    kind: Literal["forward"] = opt("forward", "the last alignment moved forward, then weighed by content")
    hidden_dim: int = opt(128, "hidden layer that predicts the moves")
    key_dim: int = opt(64, "dimension of the content's dot product")
    max_move: int = opt(4, "the most tokens that one frame can move")
    step_bias: float = opt(0.8, "tokens per frame that the alignment moves on average at the start of training")


@dataclass
class DecoderConfig:
    """The autoregressive decoder: previous frame to `cond` of this frame."""

    prenet_dims: list[int] = opt([256, 128], "widths of the tanh pre-net over the previous frame's samples; no dropout")
    attention_dim: int = opt(512, "units of the LSTM that queries the attention")
    hidden_dim: int = opt(512, "units of each residual LSTM")
    num_layers: int = opt(4, "residual LSTM layers")
    skip: bool = opt(True, "feed the previous frame's raw samples past the pre-net (the paper's skip connection)")
    spectrum: bool = opt(
        False, "feed the log-magnitude spectrum of the previous frame beside its samples, of which it is a function"
    )
    cond_dim: int = opt(
        0,
        "width of a two-layer SiLU head over LSTM output, context and previous frame; 0: cond is the LSTM output",
    )


@dataclass
class FlowConfig:
    """The paper's multi-stage flow over a frame (section 2.2)."""

    kind: Literal["flow"] = opt("flow", "squeeze, then stages of ActNorm, 1x1 convolution, affine coupling")
    squeeze: int = opt(10, "L, samples that one position of the first stage holds")
    num_stages: int = opt(5, "M, stages; between two, time halves and channels double")
    num_steps: int = opt(12, "N, steps per stage")
    hidden_dim: int = opt(256, "channels of the coupling networks")
    position_dim: int = opt(64, "sinusoidal position features, even; 0: none (not published)")
    scale_bound: float = opt(2.0, "bound b of a coupling's log-scale, b tanh(g / b)")


@dataclass
class CompactFlowConfig:
    """A flow of dense layers over the frame's DCT, for CPUs."""

    kind: Literal["compact"] = opt("compact", "DCT, conditional affine, MLP couplings")
    num_couplings: int = opt(8, "coupling layers, even")
    hidden_dim: int = opt(384, "width of the coupling networks")
    num_layers: int = opt(1, "residual layers in each coupling network")
    num_cepstra: int = opt(
        0, "smooth functions of frequency in the affine layer's log-scales, learnt sooner than these"
    )
    affine_bound: float = opt(6.0, "bound of the conditional affine layer's log-scale")
    scale_bound: float = opt(2.0, "bound of a coupling's log-scale")
    precision: Literal["float32", "bf16"] = opt(
        "float32", "of the coupling networks' products in training; evaluation and synthesis are float32"
    )


@dataclass
class SubframeFlowConfig(CompactFlowConfig):
    """A compact flow for each part of a frame, given the samples before it."""

    kind: Literal["subframe"] = opt("subframe", "subframes one after the other, each by a compact flow")  # type: ignore[assignment]
    subframe_length: int = opt(160, "samples of a subframe, even")
    context_dim: int = opt(512, "width of the network that sees cond and the last samples")
    past_noise: float = opt(0.0, "most noise (std) on the samples before a subframe in training, relative to theirs")
    past_gain: float = opt(0.0, "std of the log of a random gain of the samples before a subframe in training")
    past_filter: float = opt(0.0, "std of the cepstrum of a random filter of the samples before a frame's parts")


@dataclass
class GaussianConfig:
    """The baseline: a diagonal Gaussian over the frame's samples."""

    kind: Literal["gaussian"] = opt("gaussian", "mean and log-scale of every sample, linear in cond")
    affine_bound: float = opt(6.0, "bound of the log-scale")


@dataclass
class TrainConfig:
    """Optimisation, schedule, logging."""

    seed: int = opt(0, "seed of initialisation, batches, dropout and noise")
    max_steps: int = opt(500_000, "optimiser steps")
    max_minutes: float = opt(
        0.0, "stop after this wall time as well, and decay the learning rate by it; 0: steps alone count"
    )
    batch_seconds: float = opt(500.0, "seconds of audio in a batch, padding included, over all processes")
    accumulate: int = opt(1, "micro-batches that a batch is split into")
    learning_rate: float = opt(1e-3, "peak learning rate")
    warmup_steps: int = opt(1000, "steps of linear warm-up")
    decay_fraction: float = opt(0.4, "last part of the run over which the learning rate falls linearly")
    final_ratio: float = opt(0.02, "learning rate at the end, relative to the peak")
    betas: list[float] = opt([0.9, 0.999], "Adam's betas")
    weight_decay: float = opt(0.0, "AdamW's decoupled weight decay, of matrices only")
    clip_norm: float = opt(1.0, "gradient norm is clipped to this")
    ema_decay: float = opt(0.999, "decay of the averaged weights that are evaluated and exported")
    stop_weight: float = opt(
        1.0, "weight of a frame's stop loss beside its negative log-likelihood; the paper sums equally"
    )
    history_noise: float = opt(0.0, "std of noise on the fed-back frames, relative to each frame's own")
    history_gain: float = opt(
        0.0, "std of the log of a random gain of each fed-back frame; in synthesis frames may be too loud or too soft"
    )
    adapter_rank: int = opt(
        0, "with --init-from: train a change of this rank of every matrix, not the matrices (LoRA); 0: everything"
    )
    prior_steps: int = opt(0, "steps during which the alignment is held to a beta-binomial diagonal prior")
    short_epochs: int = opt(0, "so many epochs at the start have only utterances of up to `short_seconds`")
    short_seconds: float = opt(2.0, "reading is learnt from short texts first, where an even pace is nearly right")
    random_phase: bool = opt(
        True, "shift where an utterance's first frame starts, by up to one frame, anew in each epoch"
    )
    precision: Literal["float32", "bf16"] = opt(
        "float32",
        "bf16: encoder's and decoder's products in bfloat16 (autocast); the density has its own precision",
    )
    tf32: bool = opt(False, "float32 products of GPUs in TensorFloat-32: faster, 10 bits of mantissa")
    compile: bool = opt(False, "torch.compile the density")
    compile_attention: bool = opt(False, "torch.compile the step of the attention's loop: few launches a frame")
    loader_threads: int = opt(2, "threads that read and pad audio ahead of the training loop")
    max_bad_steps: int = opt(20, "stop after this many non-finite losses in a row")
    log_every: int = opt(10, "steps between lines of metrics.jsonl")
    eval_every: int = opt(1000, "steps between held-out evaluations")
    save_every: int = opt(1000, "steps between checkpoints")
    sample_every: int = opt(5000, "steps between synthesised samples in TensorBoard")
    num_samples: int = opt(4, "held-out sentences that are synthesised and plotted")
    sample_temperature: float = opt(
        0.7, "temperature of those samples, and of all speech unless another is asked for (the paper's, section 4)"
    )
    sample_guidance: float = opt(
        0.0, "guidance towards the text of those samples, and of all speech unless another is asked for"
    )


EncoderConfig = CBHGConfig | ConvLSTMConfig
AttentionConfig = LocationAttentionConfig | DynamicAttentionConfig | GMMAttentionConfig | ForwardAttentionConfig
DensityConfig = FlowConfig | CompactFlowConfig | SubframeFlowConfig | GaussianConfig


@dataclass
class Config:
    """A whole experiment. The defaults are the paper's model on LJSpeech."""

    text: TextConfig = field(default_factory=TextConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    encoder: EncoderConfig = field(default_factory=CBHGConfig)
    attention: AttentionConfig = field(default_factory=LocationAttentionConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    density: DensityConfig = field(default_factory=FlowConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
