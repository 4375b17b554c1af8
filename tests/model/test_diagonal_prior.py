from __future__ import annotations

import torch
from scipy.stats import betabinom

from wavetts.model.alignment import diagonal_prior


def test_diagonal_prior_is_beta_binomial():
    tokens, frames = torch.tensor([5, 8, 1]), torch.tensor([12, 7, 3])
    prior = diagonal_prior(tokens, frames, floor=0.01)
    assert prior.shape == (3, 12, 8) and prior.dtype == torch.float32
    for row, count, length in zip(prior, tokens.tolist(), frames.tolist(), strict=True):
        for t in range(length):
            expected = betabinom.pmf(range(count), count - 1, t + 1, length - t) + 0.01
            torch.testing.assert_close(row[t, :count], torch.tensor(expected).float(), rtol=1e-4, atol=1e-6)
        assert (row[length:] == 0).all() and (row[:, count:] == 0).all()


def test_diagonal_prior_by_hand():
    # Two tokens, three frames: the second token's probability is alpha / (alpha + beta) = t / 4.
    expected = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    torch.testing.assert_close(diagonal_prior(torch.tensor([2]), torch.tensor([3]), floor=0.0)[0], expected)


def test_diagonal_prior_sums_to_one_and_runs_along_the_diagonal():
    prior = diagonal_prior(torch.tensor([30]), torch.tensor([100]), floor=0.0)[0]
    torch.testing.assert_close(prior.sum(-1), torch.ones(100), rtol=1e-5, atol=0)
    mean = prior @ torch.arange(30.0)
    torch.testing.assert_close(mean, 29 * torch.arange(1.0, 101) / 101, rtol=1e-4, atol=1e-4)
    # Its symmetry: read backwards, it is the same.
    torch.testing.assert_close(prior, prior.flip(0, 1), rtol=1e-4, atol=1e-6)


def test_diagonal_prior_of_a_long_utterance_is_finite():
    prior = diagonal_prior(torch.tensor([300]), torch.tensor([1500]))
    assert prior.isfinite().all() and (prior > 0).all()
