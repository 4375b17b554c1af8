"""Bits-back coding with a small diffusion: what rows of whole numbers cost, beside their bound and their entropy.

The rows are noisy sums and differences, so that each number tells of the others; a small diffusion is trained on them,
codes others of their kind, and reads them back.

Example:
    python benchmarks/lossless.py --rows 2000
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from torch import Tensor

from wavetts.config import AudioConfig
from wavetts.errors import Parser, run
from wavetts.model.density.diffusion.coding import Coder
from wavetts.model.density.diffusion.density import Diffusion, DiffusionConfig

LEVELS = 64
# Rows that are coded together.
BLOCK = 100


def numbers(count: int, generator: torch.Generator) -> Tensor:
    """(count, 4) whole numbers from 0 to 63: two independent ones, and nearly their sum and their difference."""
    pair = torch.randn(count, 2, generator=generator)
    both = torch.stack([pair.sum(1), pair[:, 0] - pair[:, 1]], 1) / math.sqrt(2)
    values = torch.cat([pair, both + 0.1 * torch.randn(count, 2, generator=generator)], 1)
    return (8 * values + LEVELS / 2).round().clamp(0, LEVELS - 1)


def trained(steps: int) -> Diffusion:
    """The diffusion."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    config = DiffusionConfig(hidden_dim=64, num_layers=3, transform="none", gamma_min=-7.0, gamma_max=6.0)
    density = config.build(4, 1, AudioConfig()).train()
    optimizer = torch.optim.Adam(density.parameters(), 3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 * (1 - step / steps))
        values = (numbers(256, generator) + torch.rand(256, 4, generator=generator)) / 8 - LEVELS / 16
        optimizer.zero_grad()
        density.loss(values, torch.zeros(256, 1), generator).mean().backward()
        optimizer.step()
    return density.eval()


def main(argv: list[str]) -> None:
    """Trains, codes, decodes, prints."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, metavar="N", help="to code (default %(default)s)")
    parser.add_argument("--train-steps", type=int, default=2000, metavar="N", help="of training (default %(default)s)")
    parser.add_argument("--steps", type=int, default=64, metavar="T", help="of the diffusion (default %(default)s)")
    args = parser.parse_args(argv)
    # The numbers' middles are at k + 1/2, which the values of training are around.
    coder = Coder(trained(args.train_steps), 1 / 8, -LEVELS // 2, LEVELS // 2 - 1, args.steps)
    rows = numbers(args.rows, torch.Generator().manual_seed(1)) - LEVELS / 2
    cond = torch.zeros(args.rows, 1)
    words = start = np.random.default_rng(0).integers(1, 2**32, 100 * BLOCK, dtype=np.uint32)
    blocks = list(zip(rows.split(BLOCK), cond.split(BLOCK), strict=True))
    for part, context in blocks:
        words = coder.encode(part, context, words)
    bits = 32 * (len(words) - len(start)) / args.rows
    for part, context in reversed(blocks):
        found, words = coder.decode(context, words)
        assert torch.equal(found, part.long()), "what was coded comes back"
    assert np.array_equal(words, start), "so do the bits that were borrowed"
    bound = torch.stack([coder.bound(rows, cond, torch.Generator().manual_seed(i)).mean() for i in range(8)])
    mixing = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5**0.5, 0.5**0.5], [0.5**0.5, -(0.5**0.5)]])
    covariance = mixing @ mixing.T + torch.diag(torch.tensor([0.0, 0.0, 0.01, 0.01])) + torch.eye(4) / 64 / 12
    entropy = 0.5 * torch.logdet(2 * math.pi * math.e * covariance).item() / math.log(2) + 4 * 3
    print("| | bits a row |\n|---|---|")
    print(f"| without a model | {4 * math.log2(LEVELS):.2f} |\n| coded, and read back | {bits:.2f} |")
    print(f"| bound | {bound.mean():.2f} +- {bound.std() / 8**0.5:.2f} |\n| entropy, about | {entropy:.2f} |")


if __name__ == "__main__":
    run(main)
