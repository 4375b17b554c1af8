from __future__ import annotations

import pytest
import torch
from scipy.stats import betabinom

from wavetts.config import DynamicAttentionConfig, ForwardAttentionConfig, GMMAttentionConfig, LocationAttentionConfig
from wavetts.model.attention import AttentionState, build_attention

KINDS = ["location", "dynamic", "gmm", "forward"]
QUERY_DIM, MEMORY_DIM = 7, 8
LENGTHS = torch.tensor([5, 9, 2])


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.fixture
def attention(small_model):
    return lambda kind: small_model(attention=kind).decoder.attention


@pytest.fixture
def memory():
    """Zero at padding, as an encoder gives it."""
    torch.manual_seed(3)
    memory = torch.randn(3, 9, MEMORY_DIM, dtype=torch.float64)
    for row, length in zip(memory, LENGTHS.tolist(), strict=True):
        row[length:] = 0
    return memory


@pytest.fixture
def queries():
    torch.manual_seed(4)
    return 2 * torch.randn(6, 3, QUERY_DIM, dtype=torch.float64)


def run(attention, memory, lengths, queries, priors=None):
    """Contexts and states of all frames."""
    keys = attention.prepare(memory, lengths)
    state, contexts, states = attention.init_state(keys), [], []
    for frame, query in enumerate(queries):
        context, state = attention(query, keys, state, None if priors is None else priors[:, frame])
        contexts.append(context)
        states.append(state)
    return contexts, states


# All kinds


@pytest.mark.parametrize("kind", KINDS)
def test_first_state_is_on_the_first_token(kind, attention, memory):
    attention = attention(kind)
    state = attention.init_state(attention.prepare(memory, LENGTHS))
    assert state.weights.tolist() == [[1.0] + [0.0] * 8] * 3
    assert state.weights.dtype == torch.float64
    assert (state.cumulative == 0).all() and state.cumulative.shape == (3, 9)
    assert (state.position == 0).all() and state.position.shape == (3, 2 if kind == "gmm" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_distribution_over_the_tokens(kind, attention, memory, queries):
    _, states = run(attention(kind), memory, LENGTHS, queries)
    for state in states:
        assert (state.weights >= 0).all()
        total = state.weights.sum(-1)
        if kind == "gmm":  # what is beyond the text's edges is lost
            assert (total <= 1 + 1e-12).all() and (total > 0).all()
        else:
            close(total, torch.ones_like(total))
        for row, length in enumerate(LENGTHS.tolist()):
            assert (state.weights[row, length:] == 0).all()
            assert (state.weights[row, :length] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_context_is_the_weighted_memory(kind, attention, memory, queries):
    contexts, states = run(attention(kind), memory, LENGTHS, queries)
    for context, state in zip(contexts, states, strict=True):
        close(context, (state.weights[..., None] * memory).sum(1))


@pytest.mark.parametrize("kind", KINDS)
def test_cumulative_is_the_sum_so_far(kind, attention, memory, queries):
    _, states = run(attention(kind), memory, LENGTHS, queries)
    for frame in range(len(states)):
        close(states[frame].cumulative, sum(state.weights for state in states[: frame + 1]))


@pytest.mark.parametrize("kind", KINDS)
def test_batch_is_each_utterance_alone(kind, attention, memory, queries):
    attention = attention(kind)
    contexts, states = run(attention, memory, LENGTHS, queries)
    for row, length in enumerate(LENGTHS.tolist()):
        one = slice(row, row + 1)
        alone_contexts, alone_states = run(attention, memory[one, :length], LENGTHS[one], queries[:, one])
        for frame in range(len(queries)):
            close(contexts[frame][one], alone_contexts[frame])
            close(states[frame].weights[one, :length], alone_states[frame].weights)
            close(states[frame].position[one], alone_states[frame].position)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_depend_on_the_query(kind, attention, memory, queries):
    attention = attention(kind)
    _, states = run(attention, memory, LENGTHS, queries)
    _, others = run(attention, memory, LENGTHS, queries.flip(0))
    assert (states[0].weights - others[0].weights).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_only_content_attention_reads_the_memory(kind, attention, memory, queries):
    attention = attention(kind)
    _, states = run(attention, memory, LENGTHS, queries)
    _, others = run(attention, 2 * memory, LENGTHS, queries)
    difference = (states[0].weights - others[0].weights).abs().max()
    assert difference > 1e-4 if kind in ("location", "forward") else difference == 0


@pytest.mark.parametrize("kind", KINDS)
def test_prior_multiplies_the_weights(kind, attention, memory, queries):
    attention = attention(kind)
    prior = torch.rand(3, 6, 9, dtype=torch.float64)
    _, free = run(attention, memory, LENGTHS, queries[:1])
    contexts, held = run(attention, memory, LENGTHS, queries[:1], prior)
    expected = free[0].weights * prior[:, 0]
    expected = expected / expected.sum(-1, keepdim=True)
    close(held[0].weights, expected)
    close(held[0].cumulative, expected)
    close(contexts[0], (expected[..., None] * memory).sum(1))


@pytest.mark.parametrize("kind", KINDS)
def test_prior_of_one_token_forces_the_alignment(kind, attention, memory, queries):
    prior = torch.zeros(3, 6, 9, dtype=torch.float64)
    prior[:, :, 1] = 1.0
    _, states = run(attention(kind), memory, LENGTHS, queries, prior)
    for state in states:
        close(state.weights, torch.eye(9, dtype=torch.float64)[1].expand(3, 9))


@pytest.mark.parametrize("kind", KINDS)
def test_prior_of_zeros_makes_no_nan(kind, attention, memory, queries):
    contexts, states = run(attention(kind), memory, LENGTHS, queries, torch.zeros(3, 6, 9, dtype=torch.float64))
    assert all((context == 0).all() for context in contexts)
    assert all((state.weights == 0).all() for state in states)


# Location-sensitive


def test_location_attention_is_chorowskis_formula(attention, memory, queries):
    """e_i = v tanh(W q + b + V m_i + U f_i), with f the convolved previous and cumulative alignments; loops alone."""
    attention = attention("location")
    state = AttentionState(
        torch.softmax(torch.randn(1, 5, dtype=torch.float64), -1),
        torch.rand(1, 5, dtype=torch.float64),
        torch.zeros(1, 1, dtype=torch.float64),
    )
    keys = attention.prepare(memory[:1, :5], LENGTHS[:1])
    weights, _ = attention.step(queries[0, :1], keys, state)
    energies = []
    for i in range(5):
        features = torch.zeros(3, dtype=torch.float64)
        for k in range(5):
            if 0 <= i + k - 2 < 5:
                features += attention.conv.weight[:, 0, k] * state.weights[0, i + k - 2]
                features += attention.conv.weight[:, 1, k] * state.cumulative[0, i + k - 2]
        hidden = attention.query.weight @ queries[0, 0] + attention.query.bias
        hidden = hidden + attention.memory.weight @ memory[0, i] + attention.location.weight @ features
        energies.append((attention.energy.weight[0] * torch.tanh(hidden)).sum())
    energies = torch.stack(energies).exp()
    close(weights[0], energies / energies.sum())


def test_location_attention_by_hand():
    """One hidden unit, one filter that reads the token before: the alignment moves on by itself."""
    config = LocationAttentionConfig(hidden_dim=1, num_filters=1, kernel_size=3)
    attention = build_attention(config, 1, 1).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.conv.weight[0, 0, 0] = 1.0  # previous alignment, one token back
        attention.location.weight.fill_(100.0)
        attention.energy.weight.fill_(10.0)
    keys = attention.prepare(torch.zeros(1, 4, 1, dtype=torch.float64), torch.tensor([4]))
    state = attention.init_state(keys)
    for frame in range(3):
        _, state = attention(torch.zeros(1, 1, dtype=torch.float64), keys, state)
        assert state.weights.argmax() == frame + 1
        if frame == 0:  # energies 10 tanh(100) = 10 on the second token, 0 elsewhere
            e = torch.tensor([0.0, 10.0, 0.0, 0.0], dtype=torch.float64).exp()
            close(state.weights[0], e / e.sum())


# Dynamic convolution


def test_dynamic_attention_is_a_loop_over_utterances(attention, memory, queries):
    """The grouped convolution keeps every utterance's own filters; static, dynamic and prior terms by loops."""
    attention = attention("dynamic")
    keys = attention.prepare(memory, LENGTHS)
    previous = torch.rand(3, 9, dtype=torch.float64) * keys.mask
    previous = previous / previous.sum(-1, keepdim=True)
    state = attention.init_state(keys)._replace(weights=previous)
    weights, _ = attention.step(queries[0], keys, state)
    prior = attention.prior[0, 0].flip(0)
    for b, length in enumerate(LENGTHS.tolist()):
        filters = attention.make_filters(queries[0, b]).view(2, 5)
        energies = []
        for i in range(length):
            static, dynamic = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
            for k in range(5):
                if 0 <= i + k - 2 < length:
                    static += attention.static.weight[:, 0, k] * previous[b, i + k - 2]
                    dynamic += filters[:, k] * previous[b, i + k - 2]
            forward = sum(prior[k] * previous[b, i - k] for k in range(4) if i - k >= 0)
            features = attention.static_features(static) + attention.dynamic_features(dynamic)
            energies.append(attention.energy(torch.tanh(features))[0] + torch.as_tensor(forward).clamp_min(1e-6).log())
        close(weights[b, :length], torch.softmax(torch.stack(energies), 0))


@pytest.mark.parametrize("config", [DynamicAttentionConfig(), DynamicAttentionConfig(prior_length=4, prior_alpha=2.0)])
def test_dynamic_prior_is_beta_binomial(config):
    prior = build_attention(config, 3, 3).prior
    expected = betabinom.pmf(range(config.prior_length), config.prior_length - 1, config.prior_alpha, config.prior_beta)
    torch.testing.assert_close(prior[0, 0].flip(0), torch.tensor(expected).float(), rtol=1e-5, atol=1e-7)
    assert prior.sum().item() == pytest.approx(1, abs=1e-6)


def test_dynamic_prior_moves_one_token_a_frame_on_average():
    prior = build_attention(DynamicAttentionConfig(), 3, 3).prior[0, 0].flip(0)
    assert (prior * torch.arange(11)).sum().item() == pytest.approx(1.0, abs=1e-5)


def test_dynamic_prior_moves_forward_only(attention):
    """With the filters silent, the prior alone decides: from token 3, tokens 3..6 and nothing before."""
    attention = attention("dynamic")
    with torch.no_grad():
        attention.energy.weight.zero_()
    keys = attention.prepare(torch.zeros(1, 9, MEMORY_DIM, dtype=torch.float64), torch.tensor([9]))
    state = attention.init_state(keys)._replace(weights=torch.eye(9, dtype=torch.float64)[3:4])
    weights, _ = attention.step(torch.zeros(1, QUERY_DIM, dtype=torch.float64), keys, state)
    assert weights[0, :3].max() < 1e-5 and weights[0, 7:].max() < 1e-5
    torch.testing.assert_close(
        weights[0, 3:7], torch.tensor(betabinom.pmf(range(4), 3, 0.1, 0.9)), rtol=1e-4, atol=1e-5
    )


# Mixture


def test_gmm_means_only_move_forward(attention, memory, queries):
    _, states = run(attention("gmm"), memory, LENGTHS, 5 * queries)
    positions = torch.stack([torch.zeros_like(states[0].position), *(state.position for state in states)])
    assert (positions.diff(dim=0) > 0).all()


def test_gmm_weights_are_the_mixtures_mass_on_each_token(attention, memory, queries):
    attention = attention("gmm")
    _, states = run(attention, memory, LENGTHS, queries[:2])
    position = torch.zeros(2, dtype=torch.float64)
    for query, state in zip(queries[:2, 1], states, strict=True):
        logits, step, width = attention.mixture(torch.tanh(attention.hidden(query))).view(3, 2)
        shares, position = torch.softmax(logits, 0), position + torch.log1p(step.exp())
        scale = torch.log1p(width.exp()) + 0.05
        close(state.position[1], position)
        for i in range(9):
            upper, lower = (1 / (1 + torch.exp(-(i + side - position) / scale)) for side in (0.5, -0.5))
            close(state.weights[1, i], (shares * (upper - lower)).sum())


def test_gmm_starts_with_its_configured_step_and_width():
    attention = build_attention(GMMAttentionConfig(step_bias=0.7, width_bias=1.5), 3, 3)
    with torch.no_grad():
        attention.mixture.weight.zero_()
    keys = attention.prepare(torch.zeros(1, 40, 3), torch.tensor([40]))
    state = attention.init_state(keys)
    for _ in range(20):
        _, state = attention(torch.randn(1, 3), keys, state)
    torch.testing.assert_close(state.position, torch.full((1, 5), 14.0), rtol=1e-5, atol=0)
    tokens = torch.arange(40.0)
    mean = (state.weights[0] * tokens).sum()
    assert mean.item() == pytest.approx(14.0, abs=0.05)
    deviation = ((state.weights[0] * (tokens - mean).square()).sum()).sqrt().item()
    assert deviation == pytest.approx(1.55 * torch.pi / 3**0.5, rel=0.03)  # of a logistic of scale 1.5 + 0.05


def test_gmm_behind_the_text_reads_nothing(attention, memory):
    attention = attention("gmm")
    keys = attention.prepare(memory, LENGTHS)
    state = attention.init_state(keys)
    context, state = attention(torch.zeros(3, QUERY_DIM).double(), keys, state._replace(position=state.position + 1e4))
    assert (context.abs() < 1e-12).all() and (state.weights < 1e-12).all()


# Forward


def test_forward_moves_the_alignment_on_and_weighs_it_by_content(attention, memory, queries):
    attention = attention("forward")
    _, states = run(attention, memory, LENGTHS, queries[:2])
    keys, weights = memory[1], torch.zeros(9, dtype=torch.float64)
    weights[0] = 1.0
    for query, state in zip(queries[:2, 1], states, strict=True):
        energy = attention.memory(keys) @ attention.query(query) / 2  # sqrt of key_dim
        agent = attention.move(torch.tanh(attention.hidden(query))) + attention.token_move(keys)
        moved = torch.zeros(9, dtype=torch.float64)
        for token in range(9):
            for move, share in enumerate(torch.softmax(agent[token], 0)):
                if token + move < 9:
                    moved[token + move] += weights[token] * share
        weights = (moved + 1e-7) * energy.exp()
        weights = weights / weights.sum()
        close(state.weights[1], weights)


def test_forward_moves_no_further_than_it_may(attention, memory, queries):
    attention = attention("forward")
    _, states = run(attention, memory, LENGTHS, queries[:1])
    beyond = states[0].weights[1, 3:]  # max_move is 2
    assert beyond.sum() < 1e-4


def test_forward_starts_with_its_configured_step():
    attention = build_attention(ForwardAttentionConfig(max_move=6, step_bias=0.7), 3, 3)
    with torch.no_grad():
        attention.move.weight.zero_()
    keys = attention.prepare(torch.zeros(1, 40, 3), torch.tensor([40]))
    state = attention.init_state(keys)
    for _ in range(20):
        _, state = attention(torch.randn(1, 3), keys, state)
    assert (state.weights[0] * torch.arange(40.0)).sum().item() == pytest.approx(14.0, abs=0.1)


# The diagonal prior
