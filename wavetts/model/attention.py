"""Attention mechanisms: one query per frame gives weights over the tokens; the recurrent state is passed explicitly."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """What an attention passes from frame to frame; a mechanism keeps the fields that it does not use unchanged."""

    weights: Tensor  # (B, I) alignment of the previous frame
    cumulative: Tensor  # (B, I) sum of the alignments of all frames so far
    position: Tensor  # (B, num_components) means of the mixture, in tokens


@dataclass
class Keys:
    """What an attention needs of the text, computed once per utterance."""

    memory: Tensor  # (B, I, E)
    mask: Tensor  # (B, I) True at tokens, False at padding
    projected: Tensor  # (B, I, P) what `Attention.project` makes of the memory; P = 0 where content is not used
    mean: Tensor  # (B, E) mean of the memory over the tokens


class Attention(nn.Module):
    """Base class: `prepare` and `init_state` once per utterance, then `step` (or `forward`) once per frame."""

    num_components = 1

    def prepare(self, memory: Tensor, token_lengths: Tensor) -> Keys:
        """Computes the keys of memory (B, I, E) with token lengths (B,), once for all frames."""
        mask = length_mask(token_lengths, memory.shape[1], memory.device)
        mean = (memory * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return Keys(memory, mask, self.project(memory), mean)

    def project(self, memory: Tensor) -> Tensor:
        """The part (B, I, P) of the energies that depends on memory (B, I, E) alone; P = 0 by default."""
        return memory[..., :0]

    def init_state(self, keys: Keys) -> AttentionState:
        """The state before the first frame, with all weight on the first token."""
        weights = F.one_hot(keys.mask.new_zeros(len(keys.mask), dtype=torch.long), keys.mask.shape[1])
        weights = weights.to(keys.memory.dtype)
        return AttentionState(weights, torch.zeros_like(weights), weights.new_zeros(len(weights), self.num_components))

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """Computes the alignment of one frame.

        Args:
            query: (B, D).
            keys: what `prepare` returned.
            state: the state after the previous frame.

        Returns:
            weights (B, I), zero at padding, and position (B, num_components).
        """
        raise NotImplementedError

    def forward(
        self, query: Tensor, keys: Keys, state: AttentionState, prior: Tensor | None = None
    ) -> tuple[Tensor, AttentionState]:
        """Runs `step` and averages the memory with its weights.

        Args:
            query: (B, D).
            keys: what `prepare` returned.
            state: the state after the previous frame.
            prior: (B, I), multiplied into the weights, which are then renormalised; or None.

        Returns:
            context (B, E), the weighted mean of the memory, and the new state.
        """
        weights, position = self.step(query, keys, state)
        if prior is not None:
            weights = weights * prior
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-8)
        context = torch.bmm(weights[:, None, :], keys.memory)[:, 0]
        return context, AttentionState(weights, state.cumulative + weights, position)


class LocationAttention(Attention):
    """Location-sensitive attention (Chorowski et al. 2015, equation 9), the paper's.

    The energies are v tanh(W q + V m + U f) with query q, memory m, and f the convolved previous and cumulative
    alignments.
    """

    def __init__(self, config: LocationAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the projections."""
        super().__init__()
        self.query = nn.Linear(query_dim, config.hidden_dim)
        self.memory = nn.Linear(memory_dim, config.hidden_dim, bias=False)
        self.conv = nn.Conv1d(2, config.num_filters, config.kernel_size, padding=config.kernel_size // 2, bias=False)
        self.location = nn.Linear(config.num_filters, config.hidden_dim, bias=False)
        self.energy = nn.Linear(config.hidden_dim, 1, bias=False)

    def project(self, memory: Tensor) -> Tensor:
        """See `Attention.project`; P is `hidden_dim`."""
        return self.memory(memory)

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        alignments = torch.stack([state.weights, state.cumulative], dim=1)
        location = self.location(self.conv(alignments).transpose(1, 2))
        energy = self.energy(torch.tanh(self.query(query)[:, None] + keys.projected + location))[..., 0]
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


class DynamicAttention(Attention):
    """Dynamic convolution attention (Battenberg et al. 2020, equations 9 to 11).

    It depends on the previous alignment alone, not on content: static filters, filters computed from the query, and a
    causal prior.
    """

    prior: Tensor  # (1, 1, prior_length)

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
        # F.conv1d is a cross-correlation: with the flipped filter, entry k moves the alignment forward by k tokens.
        self.register_buffer("prior", prior.flip(0)[None, None].float())

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        batch = len(query)
        previous = state.weights[:, None]
        filters = self.make_filters(query).view(-1, 1, self.kernel_size)
        # A grouped convolution applies to each utterance the filters of its own query.
        dynamic = F.conv1d(state.weights[None], filters, padding=self.kernel_size // 2, groups=batch)
        features = self.static_features(self.static(previous).transpose(1, 2))
        features = features + self.dynamic_features(dynamic.view(batch, -1, previous.shape[-1]).transpose(1, 2))
        prior = F.conv1d(F.pad(previous, (self.prior.shape[-1] - 1, 0)), self.prior)[:, 0]
        energy = self.energy(torch.tanh(features))[..., 0] + prior.clamp_min(1e-6).log()
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


class GMMAttention(Attention):
    """Monotonic attention: the weight of a token is the mass of a mixture of logistics on the token's unit interval.

    The means move forward by softplus steps (Battenberg et al. 2020, section 2.1, the V2 form). Taking differences of
    the distribution function instead of the density keeps the sum of the weights at most 1 for any width. Content is
    not used.
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
    """Forward attention (Zhang et al. 2018, section 3): the previous alignment is moved, then reweighted by content.

    This is the forward recursion of a hidden Markov model whose states are the tokens. Its transition probabilities are
    richer than those of the paper (section 3.2): a move by 0 to `max_move` tokens depends on the query and on the token
    that is left, so that the alignment can stay longer on long sounds and pauses from the start of training. Content is
    a scaled dot product of query and key.
    """

    def __init__(self, config: ForwardAttentionConfig, query_dim: int, memory_dim: int) -> None:
        """Creates the projections; initial biases make the moves Poisson distributed with mean `step_bias`."""
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
        """See `Attention.project`; P is key_dim + max_move + 1: keys, and the tokens' terms in the logits of moves."""
        return torch.cat([self.memory(memory) / math.sqrt(self.key_dim), self.token_move(memory)], dim=-1)

    def step(self, query: Tensor, keys: Keys, state: AttentionState) -> tuple[Tensor, Tensor]:
        """See `Attention.step`."""
        logits = self.move(torch.tanh(self.hidden(query)))[:, None] + keys.projected[..., self.key_dim :]
        moved = (state.weights[..., None] * torch.softmax(logits, dim=-1)).unbind(-1)
        predicted = moved[0]
        for move, mass in enumerate(moved[1:], start=1):
            # Mass that would move beyond the last token is dropped; the softmax below renormalises.
            predicted = predicted + F.pad(mass, (move, -move))
        energy = torch.bmm(keys.projected[..., : self.key_dim], self.query(query)[..., None])[..., 0]
        # With this floor content can recover an alignment that has lost the text.
        energy = energy + (predicted + 1e-7).log()
        return torch.softmax(energy.masked_fill(~keys.mask, -torch.inf), dim=-1), state.position


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    """Builds the attention that `config.kind` names, for queries of D = `query_dim` and memory of E = `memory_dim`."""
    kinds: dict[str, Callable[..., Attention]] = {
        "location": LocationAttention,
        "dynamic": DynamicAttention,
        "gmm": GMMAttention,
        "forward": ForwardAttention,
    }
    return kinds[config.kind](config, query_dim, memory_dim)
