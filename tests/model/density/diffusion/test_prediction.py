"""eps, x and v say the same."""

from __future__ import annotations

import pytest
import torch

from wavetts.model.density.diffusion.prediction import noised, standard_normal, to_eps, to_x, velocity
from wavetts.model.density.diffusion.weighting import EDM_PEAK

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("level", [-9.0, -1.0, 0.0, 3.0])
def test_conversions_round_trip(level):
    torch.manual_seed(0)
    x, eps, gamma = torch.randn(5, 7), torch.randn(5, 7), torch.full((5,), level)
    z, v = noised(x, eps, gamma), velocity(x, eps, gamma)
    for value, kind in ((x, "x"), (eps, "eps"), (v, "v")):
        torch.testing.assert_close(to_x(value, z, gamma, kind), x)
        torch.testing.assert_close(to_eps(value, z, gamma, kind), eps)
        back = velocity(to_x(value, z, gamma, kind), to_eps(value, z, gamma, kind), gamma)
        torch.testing.assert_close(back, v)


@pytest.mark.parametrize("level", [-9.0, 0.0, 3.0])
def test_standard_normal_data_have_the_same_prediction_in_every_kind(level):
    torch.manual_seed(0)
    z, gamma = torch.randn(5, 7), torch.full((5,), level)
    sigma = torch.sigmoid(gamma).sqrt()[:, None]
    for kind in ("eps", "x", "v"):
        torch.testing.assert_close(to_eps(standard_normal(z, gamma, kind), z, gamma, kind), sigma * z)


def test_edm_peak_is_the_maximum():
    from wavetts.model.density.diffusion.weighting import WEIGHTINGS, _edm

    grid = torch.linspace(-10, 10, 200001)
    assert float(grid[_edm(grid).argmax()]) == pytest.approx(EDM_PEAK, abs=1e-3)
    # Of the five, eps_mse alone rises somewhere.
    rising = {name for name, weight in WEIGHTINGS.items() if (weight(grid).diff() > 1e-12).any()}
    assert rising == {"eps_mse"}
