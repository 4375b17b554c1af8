"""Every option of a model and of its training, each defined once with a line of documentation and its bounds.

A config file is YAML with the sections of `Config` (`load` reads it). A section that comes in several kinds (encoder,
attention, density) names its kind and takes only that kind's fields; `registry` knows the kinds. The sections of the
densities stand beside their classes in `model.density`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

from wavetts.config.registry import section_class
from wavetts.config.section import Section, opt
from wavetts.errors import UserError


@dataclass
class TextConfig(Section):
    """What the network reads."""

    input: Literal["phonemes", "characters"] = opt("phonemes", "symbols that the encoder reads")
    language: str = opt("en-us", "espeak language code of the text front end")


@dataclass
class AudioConfig(Section):
    """The waveform and how it is cut into frames."""

    largest: ClassVar[int] = 384_000

    sample_rate: int = opt(24000, "samples per second", at_least=1)
    frame_length: int = opt(
        960, "K, samples per frame; the paper's R = 3 is 960 at 24 kHz, 40 ms", at_least=1, at_most=65_536
    )
    preemphasis: float = opt(
        0.97,
        "a of y[n] = x[n] - a x[n-1], applied before the density and undone after it (not published)",
        at_least=0,
        below=1,
    )
    dither: float = opt(
        0.0,
        "std of Gaussian noise added to the unit-variance pre-emphasised waveform in training, a declared noise floor",
        at_least=0,
    )


@dataclass
class EncoderConfig(Section):
    """The section of any text encoder."""

    family: ClassVar[str] = "encoder"
    kind: Any  # a Literal of its one value in each subclass


@dataclass
class CBHGConfig(EncoderConfig):
    """Tacotron's encoder (Wang et al. 2017, section 3.1), the paper's."""

    kind: Literal["cbhg"] = opt("cbhg", "conv bank, highway, bidirectional GRU")
    embedding_dim: int = opt(256, "symbol embedding", at_least=1)
    prenet_dims: list[int] = opt([256, 128], "widths of the pre-net's layers", at_least=1)
    dropout: float = opt(0.5, "pre-net dropout in training", at_least=0, below=1)
    bank_size: int = opt(16, "convolutions of widths 1..bank_size", at_least=1, at_most=1000)
    hidden_dim: int = opt(128, "channels of the bank, the projections, the highway and each GRU direction", at_least=1)
    num_highway: int = opt(4, "highway layers", at_least=0)


@dataclass
class ConvLSTMConfig(EncoderConfig):
    """Three convolutions and a bidirectional LSTM (Tacotron 2), for small machines."""

    kind: Literal["conv_lstm"] = opt("conv_lstm", "convolutions with layer norm, bidirectional LSTM")
    hidden_dim: int = opt(128, "embedding, channels and memory dimension (each LSTM direction has half)", at_least=1)
    num_layers: int = opt(3, "convolution layers", at_least=0)
    kernel_size: int = opt(5, "convolution kernel, odd", at_least=1, odd=True)
    dropout: float = opt(0.1, "dropout after each convolution in training", at_least=0, below=1)
    memory_norm: bool = opt(False, "layer norm of the memory, so that its scale matches that of the samples beside it")

    def check(self) -> None:
        """See `Section.check`."""
        if self.hidden_dim % 2:
            raise UserError(f"hidden_dim: {self.hidden_dim} is odd; each LSTM direction has half")


@dataclass
class AttentionConfig(Section):
    """The section of any attention."""

    family: ClassVar[str] = "attention"
    kind: Any  # a Literal of its one value in each subclass


@dataclass
class LocationAttentionConfig(AttentionConfig):
    """Location-sensitive attention (Chorowski et al. 2015), the paper's."""

    kind: Literal["location"] = opt("location", "content, and convolved previous and cumulative alignments")
    hidden_dim: int = opt(128, "energy dimension", at_least=1)
    num_filters: int = opt(32, "location filters", at_least=1)
    kernel_size: int = opt(31, "location filter length, odd", at_least=1, odd=True)


@dataclass
class DynamicAttentionConfig(AttentionConfig):
    """Dynamic convolution attention (Battenberg et al. 2020, section 2.2)."""

    kind: Literal["dynamic"] = opt(
        "dynamic", "static and query-dependent filters of the previous alignment, with a forward prior"
    )
    hidden_dim: int = opt(128, "energy dimension", at_least=1)
    num_filters: int = opt(8, "static filters, and as many dynamic ones", at_least=1)
    kernel_size: int = opt(21, "static and dynamic filter length, odd", at_least=1, odd=True)
    prior_length: int = opt(
        11, "length of the causal beta-binomial prior filter: the most that one frame can move, plus one", at_least=1
    )
    prior_alpha: float = opt(
        0.1, "alpha of the prior; the paper's 0.1 and 0.9 move one token per frame on average", above=0
    )
    prior_beta: float = opt(0.9, "beta of the prior", above=0)


@dataclass
class GMMAttentionConfig(AttentionConfig):
    """Monotonic mixture attention by differences of the distribution function (Battenberg et al. 2020, section 2.1)."""

    kind: Literal["gmm"] = opt("gmm", "mixture whose components only move forward")
    hidden_dim: int = opt(128, "hidden layer that predicts the mixture", at_least=1)
    num_components: int = opt(5, "mixture components", at_least=1)
    step_bias: float = opt(0.6, "tokens per frame that a component moves at the start of training", above=0)
    width_bias: float = opt(1.0, "logistic scale of a component in tokens at the start of training", above=0)


@dataclass
class ForwardAttentionConfig(AttentionConfig):
    """Forward attention (Zhang et al. 2018) with a transition agent that knows query and token."""

    kind: Literal["forward"] = opt("forward", "the previous alignment moved forward, then weighted by content")
    hidden_dim: int = opt(128, "hidden layer that predicts the moves", at_least=1)
    key_dim: int = opt(64, "dimension of the content's dot product", at_least=1)
    max_move: int = opt(4, "the most tokens that one frame can move", at_least=1)
    step_bias: float = opt(
        0.8, "tokens per frame that the alignment moves on average at the start of training", above=0
    )


@dataclass
class DecoderConfig(Section):
    """The autoregressive decoder: previous frame to `cond` of this frame."""

    prenet_dims: list[int] = opt(
        [256, 128],
        "widths of the tanh pre-net over the previous frame's samples; no dropout",
        at_least=1,
        may_be_empty=True,
    )
    attention_dim: int = opt(512, "units of the LSTM that queries the attention", at_least=1)
    hidden_dim: int = opt(512, "units of each residual LSTM", at_least=1)
    num_layers: int = opt(4, "residual LSTM layers", at_least=0)
    skip: bool = opt(True, "feed the previous frame's raw samples past the pre-net (the paper's skip connection)")
    spectrum: bool = opt(False, "also feed the log-magnitude spectrum of the previous frame")
    cond_dim: int = opt(
        0,
        "width of a two-layer SiLU head over LSTM output, context and previous frame; 0: cond is the LSTM output",
        at_least=0,
    )


@dataclass
class DensityConfig(Section):
    """The section of any density; it stands beside the density's class and knows how to build it."""

    family: ClassVar[str] = "density"
    kind: Any  # a Literal of its one value in each subclass

    @property
    def guidable(self) -> bool:
        """Whether `sample` takes contexts without text beside those with it (`SamplingOptions.guidance`)."""
        return False

    @property
    def tilts(self) -> bool:
        """Whether it is, or holds, an energy that is trained on a model which stays as it is."""
        return False

    def check_length(self, length: int, field: str, section: str) -> None:
        """Raises a UserError if there is no such density of `length` values.

        Args:
            length: of a frame, or of the part of it that the density is of.
            field: name of the field that gives the length, for the message.
            section: name of the density's section, for the message.
        """

    def build(self, length: int, cond_dim: int, audio: AudioConfig) -> Any:
        """The density (`model.density.Density`) of `length` values given a context of `cond_dim` values.

        Args:
            length: of a frame, or of the part of it that the density is of.
            cond_dim: width of the context, without the samples before the frame.
            audio: sample rate and dither, for a density that knows what a sample is.
        """
        raise NotImplementedError


@dataclass
class TrainConfig(Section):
    """Optimisation, schedule, logging."""

    # What torch takes as a seed.
    largest: ClassVar[int] = 2**63 - 1

    seed: int = opt(0, "seed of initialisation, batches, dropout and noise", at_least=0)
    max_steps: int = opt(500_000, "optimiser steps", at_least=1)
    max_minutes: float = opt(
        0.0,
        "stop after this wall time as well, and decay the learning rate by it; 0: steps alone count",
        at_least=0,
    )
    batch_seconds: float = opt(500.0, "seconds of audio in a batch, padding included, over all processes", above=0)
    accumulate: int = opt(1, "micro-batches that a batch is split into", at_least=1)
    learning_rate: float = opt(1e-3, "peak learning rate", above=0)
    warmup_steps: int = opt(1000, "steps of linear warm-up", at_least=0)
    decay_fraction: float = opt(0.4, "last part of the run over which the learning rate falls linearly", at_least=0)
    final_ratio: float = opt(0.02, "learning rate at the end, relative to the peak", at_least=0)
    betas: list[float] = opt([0.9, 0.999], "Adam's betas", at_least=0, below=1)
    weight_decay: float = opt(0.0, "AdamW's decoupled weight decay, of matrices only", at_least=0)
    clip_norm: float = opt(1.0, "gradient norm is clipped to this", above=0)
    ema_decay: float = opt(0.999, "decay of the averaged weights that are evaluated and exported", at_least=0, below=1)
    stop_weight: float = opt(
        1.0, "weight of a frame's stop loss beside its negative log-likelihood; the paper sums equally", at_least=0
    )
    history_noise: float = opt(0.0, "std of noise on the fed-back frames, relative to each frame's own", at_least=0)
    history_gain: float = opt(
        0.0,
        "std of the log of a random gain of each fed-back frame; in synthesis frames may be too loud or too soft",
        at_least=0,
    )
    adapter_rank: int = opt(
        0,
        "train only a change of this rank of each matrix of the initial model (LoRA); 0: train all weights",
        at_least=0,
    )
    prior_steps: int = opt(0, "steps in which a beta-binomial diagonal prior guides the alignment", at_least=0)
    short_epochs: int = opt(0, "number of first epochs that use only utterances of up to `short_seconds`", at_least=0)
    short_seconds: float = opt(
        2.0, "longest utterance of the first `short_epochs`: attention is learnt faster from short texts", above=0
    )
    random_phase: bool = opt(
        True, "shift the start of an utterance's first frame by a random part of a frame in each epoch"
    )
    precision: Literal["float32", "bf16"] = opt(
        "float32",
        "bf16: encoder's and decoder's products in bfloat16 (autocast); the density has its own precision",
    )
    tf32: bool = opt(False, "float32 products of GPUs in TensorFloat-32: faster, 10 bits of mantissa")
    compile: bool = opt(False, "torch.compile the density")
    compile_attention: bool = opt(
        False, "torch.compile the step of the attention loop: fewer kernel launches per frame"
    )
    loader_threads: int = opt(2, "threads that read and pad audio ahead of the training loop", at_least=1)
    keep_audio: bool = opt(False, "hold the whole corpus in memory, 0.23 GB an hour at 16 kHz: no decoding after once")
    max_bad_steps: int = opt(20, "stop after this many non-finite losses in a row", at_least=1)
    log_every: int = opt(10, "steps between lines of metrics.jsonl", at_least=1)
    eval_every: int = opt(1000, "steps between held-out evaluations", at_least=1)
    save_every: int = opt(1000, "steps between checkpoints", at_least=1)
    save_minutes: float = opt(0.0, "minutes after which is evaluated and saved, too; 0: by steps alone", at_least=0)
    sample_every: int = opt(5000, "steps between synthesised samples in TensorBoard", at_least=1)
    num_samples: int = opt(4, "held-out sentences that are synthesised and plotted", at_least=0)

    def check(self) -> None:
        """See `Section.check`."""
        if len(self.betas) != 2:
            raise UserError(f"betas: {self.betas} is not a pair")


@dataclass
class SynthesisConfig(Section):
    """Default synthesis settings of the voice; `wavetts export` can change those of a trained model."""

    temperature: float = opt(
        0.7, "std of the base noise (the paper's, section 4); 0: the same every time, 1: as it was trained", at_least=0
    )
    guidance: float = opt(
        0.0, "guidance scale: moderate values make words clearer; 0: the trained model without guidance", at_least=0
    )
    voiced_scale: float = opt(
        1.0,
        "temperature in voiced sounds, relative to `temperature`; needs a density of subframes with 40 ms of past",
        at_least=0,
    )
    remove_dither: bool = opt(False, "remove from the output the noise that `audio.dither` added in training")


@dataclass
class Config:
    """A whole experiment. The defaults are the paper's model on LJSpeech.

    Raises:
        UserError: sections do not go together; the message begins with the field.
    """

    text: TextConfig = field(default_factory=TextConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    encoder: EncoderConfig = field(default_factory=CBHGConfig)
    attention: AttentionConfig = field(default_factory=LocationAttentionConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    density: DensityConfig = field(default_factory=lambda: cast(DensityConfig, section_class("density")()))
    train: TrainConfig = field(default_factory=TrainConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)

    def __post_init__(self) -> None:
        self.density.check_length(self.audio.frame_length, "audio.frame_length", "density")
        if self.density.tilts and self.train.adapter_rank:
            raise UserError("train.adapter_rank: all but the score of a tilt stays as it is; set it to 0")
