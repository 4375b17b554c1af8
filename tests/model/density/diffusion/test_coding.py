"""Bits-back coding: what goes in comes out, and costs what the bound says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from wavetts.config import AudioConfig
from wavetts.errors import UserError
from wavetts.model.density.diffusion.density import DiffusionConfig

pytest.importorskip("constriction")

from wavetts.model.density.diffusion.coding import Coder


def toy_numbers(count: int) -> tuple[Tensor, Tensor]:
    """Rows of three whole numbers from 0 to 63 that depend on each other, and contexts that tell where they lie."""
    cond = torch.randint(0, 2, (count, 1)).float()
    first = torch.where(torch.rand(count) < 0.5, 20.0, 40.0) + 3 * torch.randn(count)
    second = 64 - first + 2 * torch.randn(count)
    third = 16 + 30 * cond[:, 0] + 2 * torch.randn(count)
    return torch.stack([first, second, third], 1).round().clamp(0, 63), cond


def toy_density(steps: int):
    torch.manual_seed(0)
    config = DiffusionConfig(hidden_dim=48, num_layers=2, transform="none", gamma_min=-7.0, gamma_max=5.0)
    density = config.build(3, 1, AudioConfig())
    optimizer = torch.optim.Adam(density.parameters(), 4e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1.0, 2 * (1 - step / steps))
        numbers, cond = toy_numbers(256)
        values = (numbers + torch.rand(numbers.shape)) / 16 - 2  # of about unit variance
        loss = density.loss(values + 2, cond).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return density.eval()


def test_code_length_is_the_bound_and_what_was_coded_comes_back():
    density = toy_density(400)
    coder = Coder(density, step=1 / 16, lowest=0, highest=63, num_steps=24)
    torch.manual_seed(1)
    numbers, cond = toy_numbers(960)
    words = start = np.random.default_rng(0).integers(1, 2**32, 6000, dtype=np.uint32)
    blocks = list(zip(numbers.split(120), cond.split(120), strict=True))
    for part, context in blocks:
        words = coder.encode(part, context, words)
    bits = 32 * (len(words) - len(start)) / len(numbers)
    generator = torch.Generator().manual_seed(2)
    draws = torch.cat([coder.bound(numbers, cond, generator) for _ in range(12)])
    error = float(draws.std() / len(draws) ** 0.5)
    assert error < 0.005 * float(draws.mean())
    assert bits == pytest.approx(float(draws.mean()), rel=0.01)
    assert bits < 0.9 * 18  # six bits a number without a model
    for part, context in reversed(blocks):
        found, words = coder.decode(context, words)
        assert torch.equal(found, part.long())
    assert np.array_equal(words, start)  # and every bit that was borrowed is back


def test_numbers_that_were_not_foreseen_are_refused():
    density = DiffusionConfig(hidden_dim=8, num_layers=1, transform="none").build(4, 1, AudioConfig())
    with pytest.raises(UserError, match="outside 0 to 7"):
        Coder(density, 1.0, 0, 7).encode(torch.tensor([[0.0, 1.0, 2.0, 8.0]]), torch.zeros(1, 1), np.ones(9, np.uint32))


def test_transforms_are_refused():
    density = DiffusionConfig(hidden_dim=8, num_layers=1).build(4, 1, AudioConfig())
    with pytest.raises(UserError, match="one by one"):
        Coder(density, 1.0, 0, 1)
