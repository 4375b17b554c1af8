"""Linear prediction: the map to the residual, what is seen of the past, the copied period."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_densities import C, K, build, conds
from torch import Tensor

from wavetts.model.density import SamplingOptions
from wavetts.model.density.couplings import CouplingFlowConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.linear_prediction import LinearPrediction, LinearPredictionConfig
from wavetts.model.density.pitch import Period, PitchSearch, fit_period, interpolate, low_pass
from wavetts.model.density.subframe import SubframeConfig
from wavetts.model.density.whitened_past import VIEW, WhitenedPast

RATE, N, D = 16000, 16, 12
ONE = SamplingOptions()


def predictor(std: float = 0.3, **options: object) -> LinearPrediction:
    inner = options.pop("inner", CouplingFlowConfig(num_couplings=2, hidden_dim=8, code_dim=4))
    return build(LinearPredictionConfig(order=8, num_bins=16, inner=inner, **options), std, length=N, cond_dim=D)


def vowel(samples: int, f0: float = 110.0, rows: int = 1) -> Tensor:
    """Harmonics through two formants, with a little noise, of unit variance; every row begins at another time."""
    time = (torch.arange(samples) + 37 * torch.arange(rows)[:, None]) / RATE
    result = torch.zeros(rows, samples)
    for number in range(1, 40):
        hz = number * f0
        gain = sum(1 / (1 + ((hz - formant) / 80) ** 2) for formant in (600, 1700))
        result += gain * torch.cos(2 * math.pi * hz * time + number)
    return result / result.std() + 0.02 * torch.randn(rows, samples)


# The map


@pytest.mark.parametrize("inner", [CouplingFlowConfig(num_couplings=2, hidden_dim=8, code_dim=4), GaussianConfig()])
def test_log_det_and_inverse(inner, float64):
    density = predictor(inner=inner)
    x, cond = torch.randn(4, N), conds(density, 4)
    contexts, past = density._split(cond)
    residual, _, log_det = density._residual(x, contexts, past)
    for n in range(4):
        one = slice(n, n + 1)
        jacobian = torch.autograd.functional.jacobian(
            lambda v, one=one: density._residual(v, contexts[one], past[one])[0], x[one]
        )[0, :, 0]
        torch.testing.assert_close(log_det[n], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-9, rtol=1e-9)
        # Causal, and 1 / gain on the diagonal.
        torch.testing.assert_close(jacobian.triu(1), torch.zeros(N, N), atol=1e-12, rtol=0)
        torch.testing.assert_close(jacobian.diagonal(), jacobian[0, 0].expand(N))
    noise = torch.randn(4, N)
    drawn = density.sample(cond, ONE, noise)
    residual, hidden, _ = density._residual(drawn, contexts, past)
    torch.testing.assert_close(density.inner(residual, hidden)[0], noise)


def test_parts_in_turn_are_the_parts_one_by_one(float64):
    density = predictor()
    parts, contexts = torch.randn(2, 3, N), torch.randn(2, 3, D)
    samples = torch.cat([torch.randn(2, density.past_dim), parts[:, :2].flatten(1)], 1)
    together = density.log_prob_in_turn(parts, contexts, samples)
    for j in range(3):
        past = samples[:, j * N : j * N + density.past_dim]
        torch.testing.assert_close(density.log_prob(parts[:, j], torch.cat([contexts[:, j], past], 1)), together[:, j])
    torch.testing.assert_close(density.loss_in_turn(parts, contexts, samples), -together)


def test_a_sample_changes_nothing_before_it(float64):
    section = SubframeConfig(
        subframe_length=4, context_dim=6, inner=LinearPredictionConfig(order=3, num_bins=8, inner=GaussianConfig())
    )
    density = build(section, 0.3)
    cond, noise = conds(density, 1), torch.randn(1, K)
    frame = density.sample(cond, ONE, noise)
    for t in range(K):
        changed = noise.clone()
        changed[:, t] += 1.0
        again = density.sample(cond, ONE, changed)
        assert torch.equal(again[:, : t - t % 4], frame[:, : t - t % 4])  # subframes before it, to the bit
        torch.testing.assert_close(again[:, :t], frame[:, :t])
        assert not torch.equal(again[:, t], frame[:, t])
        # And the likelihood of each part knows only what came before.
        parts = frame.clone()
        parts[:, t] += 1.0
        values = [
            density.flow.log_prob_in_turn(
                x.view(1, 4, 4), density._bias(cond[:, :C]), torch.cat([cond[:, C:], x[:, :-4]], 1)
            )
            for x in (frame, parts)
        ]
        torch.testing.assert_close(values[0][:, : t // 4], values[1][:, : t // 4])
        assert (values[0] - values[1])[:, t // 4].abs().min() > 1e-9


def test_the_gain_moves_the_likelihood_as_it_should(float64):
    """An envelope that is louder: a softer residual, and less density by the log of the gain for each sample."""
    density = predictor(std=0.0, inner=GaussianConfig())
    x, cond = torch.randn(3, N), conds(density, 3)
    before, residual = density.log_prob(x, cond), density._residual(x, *density._split(cond))[0]
    with torch.no_grad():
        # A constant in all bins, by the first cepstral coefficient; far from the bounds it is nearly itself.
        density.envelope.bias[0] = 0.2
    # The copied period scales with it.
    quieter = residual * math.exp(-0.1)
    expected = before - 0.1 * N + 0.5 * (residual.square() - quieter.square()).sum(1)
    torch.testing.assert_close(density.log_prob(x, cond), expected, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", ["envelope.bias", "shape.weight", "input.weight", "gates.bias"])
def test_gradients_are_those_of_the_likelihood(name, float64):
    """Through the filter of the samples and of the copied period, against differences."""
    density = predictor()
    past, x = vowel(density.past_dim + N, rows=4).double().split([density.past_dim, N], 1)
    cond = torch.cat([torch.randn(4, density.cond_dim), past], 1)
    parameter = dict(density.named_parameters())[name]
    (gradient,) = torch.autograd.grad(density.log_prob(x, cond).sum(), parameter)
    direction = torch.randn_like(parameter)
    sums = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            parameter.add_(step * direction)
            sums.append(density.log_prob(x, cond).sum())
            parameter.sub_(step * direction)
    torch.testing.assert_close((gradient * direction).sum(), (sums[0] - sums[1]) / 2e-6, rtol=1e-4, atol=1e-4)


def test_bf16_rounds_in_training_alone():
    density = predictor(
        precision="bf16", inner=CouplingFlowConfig(num_couplings=2, hidden_dim=8, code_dim=4, precision="bf16")
    )
    exact = copy.deepcopy(density)
    exact.bf16 = exact.inner.bf16 = False
    for coupling in exact.inner.couplings:
        coupling.bf16 = False
    # Of noise the period is a matter of chance, and of rounding.
    past, x = vowel(density.past_dim + N, rows=6).split([density.past_dim, N], 1)
    cond = torch.cat([torch.randn(6, density.cond_dim), past], 1)
    expected = exact.log_prob(x, cond)
    assert torch.equal(density.eval().log_prob(x, cond), expected)
    rounded = density.train().log_prob(x, cond)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, expected)
    torch.testing.assert_close(rounded, expected, rtol=0.1, atol=0.5)


def test_filters_survive_rounded_products():
    """An autocorrelation of rounded products, which GPUs and some CPUs allow, is not positive definite."""
    past, signal = WhitenedPast(32, 20, 16000), vowel(16000 // 4)
    before, allowed = past(signal, 20), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        after = past(signal, 20)
    finally:
        torch.set_float32_matmul_precision(allowed)
    torch.testing.assert_close(after.features, before.features, atol=0.1, rtol=0.1)


def test_speech_is_likelier_than_without_a_filter():
    """Trained for a moment on a vowel, the filter finds its formants."""
    torch.manual_seed(0)
    signal = vowel(1000 + N * 64)[0]
    frames = signal[1000:].view(64, N)
    past = torch.stack([signal[1000 + N * i - 640 : 1000 + N * i] for i in range(64)])
    density = predictor(std=0.02, inner=GaussianConfig())
    cond = torch.cat([torch.ones(64, D), past], 1)
    optimizer = torch.optim.Adam(density.parameters(), 0.02)
    for _ in range(60):
        loss = density.loss(frames, cond).mean() / N
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gaussian = 0.5 * math.log(2 * math.pi * math.e * float(frames.var()))
    assert loss.item() < gaussian - 1.0


def test_the_past_does_not_change_envelope_and_level():
    density = predictor()
    contexts = torch.randn(6, density.cond_dim)
    filters, gains = [], []
    for past in (torch.randn(6, density.past_dim), 9 * vowel(density.past_dim, rows=6)):
        known = density._predict(contexts, past)
        filters.append(known.filter)
        gains.append(known.log_gain)
    assert torch.equal(*filters) and torch.equal(*gains)
    assert filters[0].std(0).max() > 0.01 and gains[0].std() > 0.01


# What is seen of the past


def seen_parts(past: WhitenedPast, signal: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The residual's end (N, view), the copied period, how periodic, the lag's logarithm."""
    seen = past(signal)
    return seen.features[:, : past.view], seen.period, seen.features[:, -3], seen.features[:, -2]


def test_the_past_is_white_and_has_no_level():
    torch.manual_seed(0)
    past = WhitenedPast(32, 80, RATE)
    signal = vowel(640, rows=40)
    residual, *_ = seen_parts(past, signal)
    assert residual.shape == (40, round(VIEW * RATE))
    louder, *_ = seen_parts(past, 20 * signal)
    # The noise floor is felt by the softer one alone, and little.
    assert (louder - residual).square().mean() < 0.1 * residual.square().mean()
    tilted = signal - 0.9 * torch.nn.functional.pad(signal[:, :-1], (1, 0))
    bent, *_ = seen_parts(past, tilted / tilted.std())
    spectra = [
        torch.fft.rfft(x, 1024).abs().square().mean(0).view(-1)[1:].unflatten(0, (8, -1)).mean(1).log()
        for x in (signal, tilted, residual, bent)
    ]
    assert (spectra[0] - spectra[1]).std() > 0.8  # an octave's tilt
    assert (spectra[2] - spectra[3]).std() < 0.5 * (spectra[0] - spectra[1]).std()


def test_silence_and_wild_pasts_are_finite():
    past = WhitenedPast(32, 80, RATE)
    for size in (0.0, 1e-6, 1e3):
        assert all(part.isfinite().all() for part in past(size * torch.randn(3, 640)))


@pytest.mark.parametrize("f0", [70.0, 110.0, 180.0, 260.0])
def test_the_copied_period_goes_on_with_the_signal(f0):
    torch.manual_seed(0)
    past = WhitenedPast(32, 80, RATE, before=20, after=10)
    signal = vowel(640 + 90, f0, rows=30)
    _, copied, periodic, log_lag = seen_parts(past, signal[:, :640])
    assert periodic.min() > 0.8
    lag = torch.exp(log_lag + 1.5) * past.search.shortest
    periods = lag * f0 / RATE
    assert (periods - periods.round()).abs().max() < 0.01
    # It is the waveform that comes, and around it.
    truth = signal[:, 640 - 20 : 640 + 80 + 10]
    assert torch.nn.functional.cosine_similarity(copied, truth).min() > 0.9


@pytest.mark.parametrize("rate", [-0.02, -0.01, 0.01, 0.025])
def test_the_copied_period_follows_a_glide(rate):
    """Harmonics 1 to 15 of a pitch whose period changes by `rate`; a copy by a constant lag loses the upper ones."""
    past, lag = WhitenedPast(32, 80, RATE), 90.0
    time = torch.arange(720) - 640.0
    # One period ago the phase was less by one: of T(t) = lag + rate t.
    phase = torch.log1p(rate * time / lag) / -math.log1p(-rate)
    harmonics = sum(torch.cos(2 * math.pi * number * phase + number**2) for number in range(1, 16))
    signal = (harmonics / harmonics.std())[None] + 0.02 * torch.randn(4, 720)
    guess = Period(torch.full((4, 1), lag + 0.5), torch.zeros(4, 1))
    low = signal[:, :640] @ low_pass(640, RATE)
    period = guess
    for _ in range(4):
        period = fit_period(low, period, 240, 4)
    torch.testing.assert_close(period.lag, torch.full((4, 1), lag), atol=0.2, rtol=0)
    torch.testing.assert_close(period.glide, torch.full((4, 1), rate), atol=0.004, rtol=0)

    def likeness(places: Tensor) -> float:
        copied = interpolate(signal[:, :640], places)
        return torch.nn.functional.cosine_similarity(copied, signal[:, 640:]).min().item()

    followed = likeness(past._last_period(period))
    constant = likeness(past._last_period(Period(period.lag, 0 * period.glide)))
    assert followed > 0.97 > constant


def test_interpolation_is_exact_at_samples_and_for_parabolas():
    x = torch.arange(20.0)
    signal = torch.stack([0.1 * x**2 - x, torch.randn(20)])
    places = torch.tensor([1.0, 3.25, 10.5, 16.9]).expand(2, -1)
    value = interpolate(signal, places)
    torch.testing.assert_close(value[0], 0.1 * places[0] ** 2 - places[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(interpolate(signal, torch.full((2, 1), 7.0)), signal[:, 7:8])


def test_noise_is_not_periodic():
    torch.manual_seed(0)
    *_, periodic, _ = seen_parts(WhitenedPast(32, 80, RATE), torch.randn(50, 640))
    assert periodic.mean() < 0.5


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_lags_scale_with_the_rate(rate):
    length = round(0.04 * rate)
    search = PitchSearch(length, round(0.0125 * rate), rate, 1e-4)
    assert (search.shortest / rate, search.longest / rate) == pytest.approx((0.002, 0.025), abs=1e-3)
    time = torch.arange(length) / rate
    low = torch.cos(2 * math.pi * 200 * time)[None] + torch.cos(2 * math.pi * 400 * time + 1)
    best, lag = search(low)
    assert best.item() == pytest.approx(1.0, abs=0.02)
    assert (lag.item() * 200 / rate) % 1 == pytest.approx(0.0, abs=0.03) or (lag.item() * 200 / rate) % 1 > 0.97


def test_low_pass_keeps_what_is_low():
    matrix = low_pass(608, RATE)
    time = torch.arange(608) / RATE
    for hz, gain in ((100.0, 1.0), (900.0, 1.0), (1250.0, 0.5), (1600.0, 0.0), (4000.0, 0.0)):
        wave = torch.cos(2 * math.pi * hz * time)
        middle = (wave @ matrix)[200:400]
        torch.testing.assert_close(middle, gain * wave[200:400], atol=0.03, rtol=0)
