"""The scores of an alignment that `wavetts.training.objective` computes, on alignments whose scores are known."""

from __future__ import annotations

import pytest
import torch

from wavetts.model.alignment import alignment_scores
from wavetts.training.objective import loss_sums


def diagonal(tokens: int, frames: int) -> torch.Tensor:
    """Linear interpolation from the first token to the last."""
    position = torch.linspace(0, tokens - 1, frames)[:, None]
    return (1 - (position - torch.arange(tokens)).abs()).clamp_min(0)


def score(alignment, tokens=None, frames=None):
    lengths = torch.tensor([tokens or alignment.shape[1]]), torch.tensor([frames or alignment.shape[0]])
    return {name: value.item() for name, value in alignment_scores(alignment[None], *lengths).items()}


@pytest.mark.parametrize(("tokens", "frames"), [(2, 2), (5, 20), (20, 5), (13, 40)])
def test_perfect_diagonal(tokens, frames):
    scores = score(diagonal(tokens, frames))
    assert scores["diagonality"] == pytest.approx(1, abs=1e-5)
    # Fewer frames than tokens: every frame reads one or two.
    assert scores["coverage"] == pytest.approx(1) if frames >= tokens else 0.2 < scores["coverage"] < 0.6


@pytest.mark.parametrize("stuck", [0, 10])
def test_stuck_alignment(stuck):
    scores = score(torch.eye(11)[stuck].expand(50, -1))
    assert scores["diagonality"] == pytest.approx(0, abs=1e-5)
    assert scores["coverage"] == pytest.approx(1 / 11)


def test_backwards_and_uniform_alignments():
    assert score(diagonal(11, 50).flip(0))["diagonality"] < 0.05
    uniform = score(torch.full((50, 20), 1 / 20))
    assert uniform["diagonality"] == pytest.approx(0.5, abs=0.02)
    assert uniform["coverage"] <= 1 / 20 + 1e-6  # the first peak at the most


def test_skipped_tokens_are_not_covered():
    alignment = torch.zeros(6, 6)
    for frame, token in enumerate([0, 0, 1, 4, 4, 5]):  # never 2 and 3
        alignment[frame, token] = 1.0
    assert score(alignment)["coverage"] == pytest.approx(4 / 6)
    alignment[2, 2] = 0.1
    assert score(alignment)["coverage"] == pytest.approx(5 / 6)
    alignment[2, 3] = 0.05
    assert score(alignment)["coverage"] == pytest.approx(5 / 6)


def test_faint_peak_covers_its_token():
    alignment = torch.full((1, 30), 1 / 31)
    alignment[0, 7] += 1 / 31
    assert score(alignment)["coverage"] == pytest.approx(1 / 30)


def test_scores_do_not_see_padding():
    """The first token is never visited: padding frames must not visit it either, whatever they hold."""
    alignment = torch.rand(2, 12, 9) + 0.2
    alignment[0, :5, :4] = torch.eye(4)[[1, 1, 2, 3, 3]]
    alignment[0, :5, 4:] = 0
    lengths = torch.tensor([4, 9]), torch.tensor([5, 12])
    together = alignment_scores(alignment, *lengths)
    alone = score(alignment[0, :5, :4])
    assert alone["coverage"] == pytest.approx(3 / 4)
    assert {name: value[0].item() for name, value in together.items()} == pytest.approx(alone)


def test_attention_that_has_left_the_text_covers_nothing():
    alignment = torch.zeros(4, 5)
    alignment[0, 2] = 1.0
    assert score(alignment)["coverage"] == pytest.approx(1 / 5)


def test_scores_are_per_utterance(small_model, small_batch):
    batch = small_batch()
    output = loss_sums(small_model(), batch).output
    scores = alignment_scores(output.alignment, batch.token_lengths, batch.frame_lengths)
    assert set(scores) == {"coverage", "diagonality"}
    for value in scores.values():
        assert value.shape == (3,) and not value.requires_grad and ((value >= 0) & (value <= 1)).all()
