"""Networks that predict the noise in z, given its level gamma and a context."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.model.density.diffusion.bound import EpsModel
from wavetts.model.density.diffusion.prediction import Prediction, standard_normal, to_eps, to_x

# Frequencies of the level's sinusoids.
LEVEL_OCTAVES = 6


def _zeroed(layer: nn.Linear | nn.Conv1d) -> nn.Linear | nn.Conv1d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class FourierFeatures(nn.Module):
    """Values and sines of them, whose shortest period is a few noise floors (Kingma et al. 2021, appendix C).

    They let a small network distinguish values that differ by as little as the noise floor.

    Args:
        octaves: number of periods, each twice as long as the one before; 0: no sines.
        gamma_min: lowest level of the schedule; e^(gamma_min / 2) is the noise floor.
    """

    frequencies: Tensor  # (octaves,)

    def __init__(self, octaves: int, gamma_min: float) -> None:
        super().__init__()
        periods = 8 * math.exp(gamma_min / 2) * 2.0 ** torch.arange(octaves)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.width = 1 + 2 * octaves

    def forward(self, z: Tensor) -> Tensor:
        """(..., n) to (..., n * width)."""
        if self.width == 1:
            return z
        angles = z[..., None] * self.frequencies
        return torch.cat([z[..., None], angles.sin(), angles.cos()], -1).flatten(-2)


class LevelEmbedding(nn.Module):
    """Embedding of the level, and of a student's guidance: gamma (...) to (..., outputs)."""

    centre: Tensor  # ()
    reach: Tensor  # ()
    frequencies: Tensor  # (LEVEL_OCTAVES,)

    def __init__(self, gamma_min: float, gamma_max: float, outputs: int, num_extras: int) -> None:
        super().__init__()
        # Kept with the weights: a student's levels may end elsewhere than its teacher's began.
        self.register_buffer("centre", torch.tensor(0.5 * (gamma_min + gamma_max)))
        self.register_buffer("reach", torch.tensor(0.5 * (gamma_max - gamma_min)))
        frequencies = 0.5 * math.pi * 2.0 ** torch.arange(LEVEL_OCTAVES)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.hidden = nn.Linear(1 + 2 * LEVEL_OCTAVES + num_extras, 64)
        self.output = nn.Linear(64, outputs)

    def forward(self, gamma: Tensor, extras: Tensor | None) -> Tensor:
        """Levels (...) and further numbers (..., num_extras)."""
        level = ((gamma - self.centre) / self.reach)[..., None]
        features = torch.cat([level, (level * self.frequencies).sin(), (level * self.frequencies).cos()], -1)
        if extras is not None:
            leading = torch.broadcast_shapes(features.shape[:-1], extras.shape[:-1])
            features = torch.cat([part.expand(*leading, -1) for part in (features, extras)], -1)
        # Always a matrix: 8-bit products take no vectors.
        rows = self.output(F.silu(self.hidden(features.reshape(-1, features.shape[-1]))))
        return rows.reshape(*features.shape[:-1], -1)


class Network(nn.Module):
    """Base class of both networks: residual blocks, inputs scaled by the level and shifted by level and context.

    Output layers are zero at the start: with `Denoiser`, the density is then the standard normal.

    Args:
        length: n, values.
        cond_dim: C, width of the context.
        hidden_dim: width.
        num_layers: residual blocks.
        gamma_min: lowest level of the schedule at the start of training.
        gamma_max: highest level, the same.
        num_extras: number of inputs beside the level.
    """

    def __init__(
        self,
        length: int,
        cond_dim: int,
        hidden_dim: int,
        num_layers: int,
        gamma_min: float,
        gamma_max: float,
        num_extras: int,
    ) -> None:
        super().__init__()
        self.length, self.hidden_dim, self.num_extras = length, hidden_dim, num_extras
        self.cond_linear = nn.Linear(cond_dim, num_layers * hidden_dim)
        self.level = LevelEmbedding(gamma_min, gamma_max, 2 * num_layers * hidden_dim, num_extras)

    def prepare(self, cond: Tensor) -> Tensor:
        """Contexts (..., C), projected once for all levels: (..., num_layers, hidden_dim)."""
        return self.cond_linear(cond).unflatten(-1, (-1, self.hidden_dim))

    def _scales_shifts(self, gamma: Tensor, context: Tensor, extras: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """A scale and a shift (..., hidden_dim) for each block."""
        level = self.level(gamma, extras).unflatten(-1, (-1, 2 * self.hidden_dim))
        scale, shift = level.chunk(2, -1)
        return list(zip((1 + scale).unbind(-2), (shift + context).unbind(-2), strict=True))


class MLPNetwork(Network):
    """Residual blocks of dense layers, for tens to hundreds of values.

    Args:
        octaves: see `FourierFeatures`.
        *sizes: as of `Network`.
    """

    def __init__(
        self,
        length: int,
        cond_dim: int,
        hidden_dim: int,
        num_layers: int,
        gamma_min: float,
        gamma_max: float,
        num_extras: int = 0,
        octaves: int = 0,
    ) -> None:
        super().__init__(length, cond_dim, hidden_dim, num_layers, gamma_min, gamma_max, num_extras)
        self.features = FourierFeatures(octaves, gamma_min)
        self.input = nn.Linear(length * self.features.width, hidden_dim)
        self.layers = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(num_layers))
        self.output = _zeroed(nn.Linear(hidden_dim, length))

    def forward(self, z: Tensor, gamma: Tensor, context: Tensor, extras: Tensor | None = None) -> Tensor:
        """Noisy values (..., n), levels (...) and `prepare`d contexts to (..., n)."""
        hidden = self.input(self.features(z))
        for layer, (scale, shift) in zip(self.layers, self._scales_shifts(gamma, context, extras), strict=True):
            normed = F.layer_norm(hidden, hidden.shape[-1:])
            hidden = hidden + layer(F.silu(normed * scale + shift))
        return self.output(hidden)


class ConvNetwork(Network):
    """Residual blocks of dilated convolutions over a frame squeezed to J positions, for whole frames.

    Args:
        squeeze: samples per position.
        *sizes: as of `Network`; `length` is a multiple of `squeeze`.
    """

    def __init__(
        self,
        length: int,
        cond_dim: int,
        hidden_dim: int,
        num_layers: int,
        gamma_min: float,
        gamma_max: float,
        num_extras: int = 0,
        squeeze: int = 10,
    ) -> None:
        super().__init__(length, cond_dim, hidden_dim, num_layers, gamma_min, gamma_max, num_extras)
        self.squeeze = squeeze
        self.input = nn.Conv1d(squeeze, hidden_dim, 3, padding=1)
        # Embedding of the position in the frame.
        self.position = nn.Parameter(0.3 * torch.randn(hidden_dim, length // squeeze))
        dilations = [2 ** (i % 4) for i in range(num_layers)]
        self.layers = nn.ModuleList(nn.Conv1d(hidden_dim, hidden_dim, 3, padding=d, dilation=d) for d in dilations)
        self.output = _zeroed(nn.Conv1d(hidden_dim, squeeze, 3, padding=1))

    def forward(self, z: Tensor, gamma: Tensor, context: Tensor, extras: Tensor | None = None) -> Tensor:
        """See `MLPNetwork.forward`."""
        leading = z.shape[:-1]
        positions = z.reshape(-1, self.length // self.squeeze, self.squeeze).transpose(1, 2)
        hidden = self.input(positions) + self.position
        gamma = gamma.expand(leading)
        for layer, (scale, shift) in zip(self.layers, self._scales_shifts(gamma, context, extras), strict=True):
            scale, shift = (part.expand(*leading, -1).reshape(-1, self.hidden_dim, 1) for part in (scale, shift))
            normed = F.layer_norm(hidden.transpose(1, 2), hidden.shape[1:2]).transpose(1, 2)
            hidden = hidden + layer(F.silu(normed * scale + shift))
        return self.output(hidden).transpose(1, 2).reshape(z.shape)


class Denoiser(nn.Module):
    """A network whose output is added to the optimal prediction for standard normal data.

    Args:
        network: gives the change of the prediction.
        prediction: the predicted quantity: noise, data or velocity.
    """

    def __init__(self, network: Network, prediction: Prediction) -> None:
        super().__init__()
        self.network, self.prediction = network, prediction

    def prepare(self, cond: Tensor) -> Tensor:
        """See `Network.prepare`."""
        return self.network.prepare(cond)

    def _predict(self, z: Tensor, gamma: Tensor, context: Tensor, extras: Tensor | None) -> Tensor:
        return self.network(z, gamma, context, extras) + standard_normal(z, gamma, self.prediction)

    def eps(self, z: Tensor, gamma: Tensor, context: Tensor, extras: Tensor | None = None) -> Tensor:
        """Predicted noise: z (..., n), levels (...), prepared contexts, extras (..., num_extras) -> (..., n)."""
        return to_eps(self._predict(z, gamma, context, extras), z, gamma, self.prediction)

    def x(self, z: Tensor, gamma: Tensor, context: Tensor, extras: Tensor | None = None) -> Tensor:
        """Predicted data; arguments as for `eps`."""
        return to_x(self._predict(z, gamma, context, extras), z, gamma, self.prediction)


def guided_eps(denoiser: Denoiser, cond: Tensor, null: Tensor, guidance: float | Tensor) -> EpsModel:
    """Guided noise prediction; x is affine in eps, so guiding eps is the same as guiding x.

    Args:
        denoiser: of z (N, n).
        cond: (N, C).
        null: (N, C), the contexts without the text.
        guidance: w, a number or (N, 1).
    """
    both = denoiser.prepare(torch.cat([cond, null]))

    def model(z: Tensor, gamma: Tensor) -> Tensor:
        gamma = gamma.expand(len(z)).repeat(2)
        told, untold = denoiser.eps(z.repeat(2, 1), gamma, both).chunk(2)
        return told + guidance * (told - untold)

    return model
