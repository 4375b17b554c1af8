"""What energies are trained by: each a few lines on values of a score or of an unnormalised log-density.

Sources: Song and Kingma 2021 (How to train your energy-based models, 2101.03288) for all of them; Gutmann and Hyvarinen
2012 and Ma and Collins 2018 (noise contrastive estimation, binary and ranking), Gao et al. 2020 (flow contrastive
estimation), Vincent 2011 (denoising score matching), Song et al. 2020 (sliced score matching), Hinton 2002 (contrastive
divergence).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

# An unnormalised log-density: values (N, n) to nats (N,).
LogDensity: TypeAlias = Callable[[Tensor], Tensor]


@contextmanager
def gradients() -> Generator[None]:
    """A context in which gradients by values can be computed, in evaluation too.

    Tensors that were made in inference mode have to be cloned in it first.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


def score_of(log_density: LogDensity, values: Tensor, create_graph: bool = False) -> Tensor:
    """The gradient (N, n) of a log-density by its values (N, n), inside `gradients`."""
    values = values if values.requires_grad else values.detach().clone().requires_grad_()
    (score,) = torch.autograd.grad(log_density(values).sum(), values, create_graph=create_graph)
    return score


def ranking_nce(true: Tensor, others: Tensor) -> Tensor:
    """Which of n + 1 values is the true one: -log softmax of its score among those of n draws of q.

    Minimised by s = log p / q plus anything that depends on the context alone: Z(c) cancels.

    Args:
        true: (...) scores of the true values.
        others: (..., n) scores of draws of q, given the same contexts.

    Returns:
        (...) nats; log(n + 1) for a score that knows nothing.
    """
    return torch.logsumexp(torch.cat([true[..., None], others], -1), -1) - true


def binary_nce(true: Tensor, others: Tensor) -> Tensor:
    """Is a value true, or one of n draws of q: logistic regression of log p / q, normaliser included.

    Args:
        true: (...) log p - log q of the true values, with the model's own log Z.
        others: (..., n) log p - log q of draws of q.

    Returns:
        (...) nats.
    """
    shift = math.log(others.shape[-1])
    return F.softplus(shift - true) + F.softplus(others - shift).sum(-1)


def flow_contrastive(
    model_of_true: Tensor, flow_of_true: Tensor, model_of_drawn: Tensor, flow_of_drawn: Tensor
) -> Tensor:
    """Flow contrastive estimation: `binary_nce` against a flow that is trained too.

    The energy is trained to minimise it. The flow is trained to maximise it, by its draws and its log-densities, or by
    maximum likelihood.

    Args:
        model_of_true: (...) normalised log-density of the model, of the true values.
        flow_of_true: (...) the flow's.
        model_of_drawn: (..., n) the model's, of the flow's draws.
        flow_of_drawn: (..., n) the flow's.
    """
    return binary_nce(model_of_true - flow_of_true, model_of_drawn - flow_of_drawn)


def contrastive_divergence(true: Tensor, negatives: Tensor) -> Tensor:
    """The surrogate of maximum likelihood whose gradient is that of E_draws[s] - s(true).

    Args:
        true: (...) scores, or unnormalised log-densities, of the true values.
        negatives: (...) of draws of the model, which are constants.
    """
    return negatives - true


def denoising_score_matching(log_density: LogDensity, values: Tensor, std: float, noise: Tensor) -> Tensor:
    """1/2 |std * score(y + std * eps) + eps|^2: minimised by the density of the values with the noise on them.

    Args:
        log_density: of noisy values.
        values: (N, n).
        std: of the noise.
        noise: (N, n) standard normal.

    Returns:
        (N,), the squared error of the noise, halved.
    """
    score = score_of(log_density, (values + std * noise).detach().requires_grad_(), create_graph=True)
    return 0.5 * (std * score + noise).square().sum(-1)


def sliced_score_matching(log_density: LogDensity, values: Tensor, probe: Tensor) -> Tensor:
    """v^T (d score / dy) v + 1/2 |score|^2 (Song et al. 2020, with the reduced variance of their section 3.2).

    Args:
        log_density: twice differentiable.
        values: (N, n).
        probe: v, (N, n) of mean 0 and unit covariance.

    Returns:
        (N,), Hyvarinen's objective in expectation.
    """
    values = values.detach().clone().requires_grad_()
    score = score_of(log_density, values, create_graph=True)
    (slope,) = torch.autograd.grad((score * probe).sum(), values, create_graph=True)
    return (slope * probe).sum(-1) + 0.5 * score.square().sum(-1)
