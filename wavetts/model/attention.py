"""Attention: a query per frame to weights over the tokens, with the recurrent state passed explicitly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavetts.config import (
    AttentionConfig,
    DynamicAttentionConfig,
    ForwardAttentionConfig,
    GMMAttentionConfig,
    LocationAttentionConfig,
)
from wavetts.model.alignment import beta_binomial
from wavetts.model.layers import length_mask


class AttentionState(NamedTuple):
    """What an attention carries from frame to frame; a kind leaves alone what it does not use."""

    weights: Tensor  # (B, I) of the previous frame
    cumulative: Tensor  # (B, I) sum over all frames so far
    position: Tensor  # (B, components) means of the mixture, in tokens


@dataclass
class Keys:
    """What depends on the text alone, computed once per utterance."""

    memory: Tensor  # (B, I, E)
    mask: Tensor  # (B, I) True at tokens
    projected: Tensor  # (B, I, hidden) memory in the energy space, or (B, I, 0)
    mean: Tensor  # (B, E) of the memory over the tokens


class Attention(nn.Module):
    """Base: `prepare` once, `init_state` once, `step` per frame."""

    num_components = 1

    def prepare(self, memory: Tensor, token_lengths: Tensor) -> Keys:
        """Projects memory (B, I, E) of lengths (B,) once for all frames."""
        mask = length_mask(token_lengths, memory.shape[1], memory.device)
        mean = (memory * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return Keys(memory, mask, self.project(memory), mean)

    def project(self, memory: Tensor) -> Tensor:
        """The part of the energies that depends on memory (B, I, E) alone."""
        return memory[..., :0]

    def init_state(self, keys: Keys) -> AttentionState:
        """The state before the first frame: on the first token."""
        weights = F.one_hot(keys.mask.new_zeros(len(keys.mask), dtype=torch.long), keys.mask.shape[1])
        weights = weights.to(keys.memory.dtype)
        return AttentionState(weights, torch.zeros_like(weights), weights.new_zeros(len(weights), self.num_components))

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """One frame's alignment.

        Args:
            query: (B, D).
            keys: of `prepare`.
            state: of the frame before.

        Returns:
            weights (B, I), zero at padding, and position (B, components).
        """
        raise NotImplementedError

    def forward(
        self, query: Tensor, keys: Keys, state: AttentionState, prior: Tensor | None = None
    ) -> tuple[Tensor, AttentionState]:
        """`step`, and the context it reads.

        Args:
            query: (B, D).
            keys: of `prepare`.
            state: of the frame before.
            prior: (B, I) that the weights are multiplied by and renormalised with, or None.

        Returns:
            context (B, E) and the new state.
        """
        weights, position = self.step(query, keys, state)
        if prior is not None:
            weights = weights * prior
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-8)
        context = torch.bmm(weights[:, None, :], keys.memory)[:, 0]
        return context, AttentionState(weights, state.cumulative + weights, position)


class LocationAttention(Attention):
    """Location-sensitive: energies v tanh(W q + V m + U f), f of past alignments (Chorowski et al. 2015, eq. 9)."""

    def __init__(self, config: LocationAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the projections."""
        super().__init__()
        self.query = nn.Linear(query_dim, config.hidden_dim)
        self.memory = nn.Linear(memory_dim, config.hidden_dim, bias=False)
        self.conv = nn.Conv1d(2, config.num_filters, config.kernel_size, padding=config.kernel_size // 2, bias=False)
        self.location = nn.Linear(config.num_filters, config.hidden_dim, bias=False)
        self.energy = nn.Linear(config.hidden_dim, 1, bias=False)

    def project(self, memory: Tensor) -> Tensor:
        """(B, I, hidden)."""
        return self.memory(memory)

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        alignments = torch.stack([state.weights, state.cumulative], dim=1)
        location = self.location(self.conv(alignments).transpose(1, 2))
        energy = self.energy(torch.tanh(self.query(query)[:, None] + keys.projected + location))[..., 0]
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


class DynamicAttention(Attention):
    """Dynamic convolution attention (Battenberg et al. 2020, eqs. 9-11): location only, filters made from the query."""

    def __init__(self, config: DynamicAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the filters and the causal prior."""
        super().__init__()
        filters, size = config.num_filters, config.kernel_size
        self.kernel_size = size
        self.static = nn.Conv1d(1, filters, size, padding=size // 2, bias=False)
        self.make_filters = nn.Sequential(
            nn.Linear(query_dim, config.hidden_dim), nn.Tanh(), nn.Linear(config.hidden_dim, filters * size, bias=False)
        )
        self.static_features = nn.Linear(filters, config.hidden_dim, bias=False)
        self.dynamic_features = nn.Linear(filters, config.hidden_dim)
        self.energy = nn.Linear(config.hidden_dim, 1, bias=False)
        prior = beta_binomial(config.prior_length - 1, config.prior_alpha, config.prior_beta)
        # A convolution correlates: flipped, entry k moves the alignment k tokens forward.
        self.register_buffer("prior", prior.flip(0)[None, None].float())

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        batch = len(query)
        previous = state.weights[:, None]
        filters = self.make_filters(query).view(-1, 1, self.kernel_size)
        # Grouped convolution: one group of filters for each utterance.
        dynamic = F.conv1d(state.weights[None], filters, padding=self.kernel_size // 2, groups=batch)
        features = self.static_features(self.static(previous).transpose(1, 2))
        features = features + self.dynamic_features(dynamic.view(batch, -1, previous.shape[-1]).transpose(1, 2))
        prior = F.conv1d(F.pad(previous, (self.prior.shape[-1] - 1, 0)), self.prior)[:, 0]
        energy = self.energy(torch.tanh(features))[..., 0] + prior.clamp_min(1e-6).log()
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


class GMMAttention(Attention):
    """Monotonic mixture of logistics: a weight is the mixture's mass over its token's unit interval.

    The means move forward by softplus steps (Battenberg et al. 2020, section 2.1, the V2 form). Differences of the
    distribution function in place of its density keep the weights' sum at most 1 whatever the widths. It looks at no
    content, so nothing of the memory is projected.
    """

    def __init__(self, config: GMMAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the mixture's network; biases set the step and the width at the start."""
        super().__init__()
        self.num_components = config.num_components
        self.hidden = nn.Linear(query_dim, config.hidden_dim)
        self.mixture = nn.Linear(config.hidden_dim, 3 * config.num_components)
        with torch.no_grad():
            self.mixture.weight.mul_(0.1)
            bias = torch.tensor([0.0, config.step_bias, config.width_bias])
            bias[1:] = torch.log(torch.expm1(bias[1:]))  # inverse of softplus
            self.mixture.bias.copy_(bias.repeat_interleave(config.num_components))

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        logits, step, width = self.mixture(torch.tanh(self.hidden(query))).chunk(3, dim=-1)
        position = state.position + F.softplus(step)
        edges = torch.arange(keys.mask.shape[1] + 1, device=query.device, dtype=query.dtype) - 0.5
        scaled = (edges - position[..., None]) / (F.softplus(width)[..., None] + 0.05)
        mass = torch.bmm(torch.softmax(logits, dim=-1)[:, None], torch.sigmoid(scaled))[:, 0]
        return (mass[:, 1:] - mass[:, :-1]) * keys.mask, position


class ForwardAttention(Attention):
    """Forward attention (Zhang et al. 2018, section 3): the last alignment moves on, then content weighs it.

    It is the filter of a hidden Markov model. The transition agent (section 3.2) is richer than the paper's: the moves
    of 0 to M - 1 tokens have probabilities that depend on the query and on the token that is left, so that long sounds
    and pauses hold the pointer from the start. Content is a scaled dot product: a matrix product per frame.
    """

    def __init__(self, config: ForwardAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the projections; the biases make the moves Poisson distributed."""
        super().__init__()
        self.key_dim, num_moves = config.key_dim, config.max_move + 1
        self.query = nn.Linear(query_dim, config.key_dim)
        self.memory = nn.Linear(memory_dim, config.key_dim, bias=False)
        self.hidden = nn.Linear(query_dim, config.hidden_dim)
        self.move = nn.Linear(config.hidden_dim, num_moves)
        self.token_move = nn.Linear(memory_dim, num_moves, bias=False)
        with torch.no_grad():
            self.move.weight.mul_(0.1)
            moves = torch.arange(num_moves, dtype=torch.float32)
            self.move.bias.copy_(moves * math.log(config.step_bias) - torch.lgamma(moves + 1))

    def project(self, memory: Tensor) -> Tensor:
        """(B, I, key_dim + M): keys, then each token's part in the logits of the moves away from it."""
        return torch.cat([self.memory(memory) / math.sqrt(self.key_dim), self.token_move(memory)], dim=-1)

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        logits = self.move(torch.tanh(self.hidden(query)))[:, None] + keys.projected[..., self.key_dim :]
        moved = (state.weights[..., None] * torch.softmax(logits, dim=-1)).unbind(-1)
        predicted = moved[0]
        for move, mass in enumerate(moved[1:], start=1):
            # What would leave the text is lost; the softmax below makes up for it.
            predicted = predicted + F.pad(mass, (move, -move))
        energy = torch.bmm(keys.projected[..., : self.key_dim], self.query(query)[..., None])[..., 0]
        # The floor lets content find a pointer that was lost.
        energy = energy + (predicted + 1e-7).log()
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    """The attention of `config.kind`."""
    kinds = {
        "location": LocationAttention,
        "dynamic": DynamicAttention,
        "gmm": GMMAttention,
        "forward": ForwardAttention,
    }
    return kinds[config.kind](config, query_dim, memory_dim)
