"""Fields of a config that are given on the command line."""

from __future__ import annotations

import pytest

from wavetts.config import ConvLSTMConfig, DynamicAttentionConfig, LocationAttentionConfig
from wavetts.config.load import apply_overrides, load_config
from wavetts.errors import UserError
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.flow import FlowConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.subframe import SubframeConfig


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.max_steps=7", "train", "max_steps", 7),
        ("train.learning_rate=1e-3", "train", "learning_rate", 0.001),
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("train.compile=true", "train", "compile", True),
        ("train.betas=[0.9, 0.98]", "train", "betas", [0.9, 0.98]),
        ("text.language=de", "text", "language", "de"),
        (" decoder.prenet_dims = [8]", "decoder", "prenet_dims", [8]),
    ],
)
def test_override(override, section, key, value, write_config):
    base = load_config(write_config("train: {num_samples: 9}"))
    config = load_config(write_config("train: {num_samples: 9}"), [override])
    result = getattr(getattr(config, section), key)
    assert result == value and type(result) is type(value)
    setattr(getattr(base, section), key, value)
    assert config == base  # and nothing else has changed


def test_later_override_wins(write_config):
    assert load_config(write_config(""), ["train.seed=1", "train.seed=2"]).train.seed == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["encoder.kind=conv_lstm", "encoder.num_layers=1"],
        ["encoder.num_layers=1", "encoder.kind=conv_lstm"],
        ["encoder.num_layers=1", "encoder.kind = conv_lstm"],
    ],
)
def test_new_kind_starts_from_its_defaults_wherever_it_stands(overrides, write_config):
    path = write_config("encoder: {kind: cbhg, bank_size: 3, hidden_dim: 64}")
    assert load_config(path, overrides).encoder == ConvLSTMConfig(num_layers=1)


def test_several_kinds_at_once(write_config):
    config = load_config(write_config(""), ["density.kind=gaussian", "attention.kind=dynamic"])
    assert (config.density, config.attention) == (GaussianConfig(), DynamicAttentionConfig())


@pytest.mark.parametrize("text", ["attention: {kind: location, num_filters: 5}", "attention: {num_filters: 5}"])
def test_naming_the_same_kind_keeps_the_fields(text, write_config):
    config = load_config(write_config(text), ["attention.kind=location"])
    assert config.attention == LocationAttentionConfig(num_filters=5)


def test_apply_overrides_leaves_its_argument_alone():
    values = {"train": {"seed": 1}}
    assert apply_overrides(values, ["train.seed=2"]) == {"train": {"seed": 2}}
    assert values == {"train": {"seed": 1}}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.max_steps", "override 'train.max_steps': write section.field=value, e.g. train.max_steps=1000"),
        ("max_steps=3", "override 'max_steps=3': write section.field=value, e.g. train.max_steps=1000"),
        ("", "override '': write section.field=value, e.g. train.max_steps=1000"),
        ("train.max_steps=[", "override 'train.max_steps=[': the value is not YAML"),
        ("train.max_steps=", "train.max_steps: None is not a whole number"),
        ("train.max_step=3", "train.max_step: no such field; did you mean max_steps?"),
        ("trian.max_steps=3", "trian: no such section; did you mean train?"),
        ("encoder.kind=lstm", "encoder.kind: 'lstm' is not one of cbhg, conv_lstm"),
        ("encoder.kind=[cbhg]", "encoder.kind: ['cbhg'] is not one of cbhg, conv_lstm"),
        ("audio.preemphasis=2", "audio.preemphasis: 2.0 is not in [0, 1)"),
    ],
)
def test_bad_override(override, expected, write_config):
    path = write_config("")
    with pytest.raises(UserError) as caught:
        load_config(path, [override])
    # The file is right: it is not named.
    assert str(caught.value).removeprefix(f"override {override}: ") == expected


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["density.inner.hidden_dim=96"],
            SubframeConfig(past_gain=0.3, inner=CompactFlowConfig(num_couplings=2, hidden_dim=96)),
        ),
        (["density.inner.kind=gaussian"], SubframeConfig(past_gain=0.3, inner=GaussianConfig())),
        (["density.inner.kind=compact"], SubframeConfig(past_gain=0.3, inner=CompactFlowConfig(num_couplings=2))),
        (
            ["density.inner.affine_bound=2", "density.inner.kind=gaussian"],
            SubframeConfig(past_gain=0.3, inner=GaussianConfig(affine_bound=2.0)),
        ),
        (["density.kind=flow"], FlowConfig()),
        # As it was written before densities were nested.
        (
            ["density.hidden_dim=96"],
            SubframeConfig(past_gain=0.3, inner=CompactFlowConfig(num_couplings=2, hidden_dim=96)),
        ),
    ],
    ids=str,
)
def test_overrides_of_a_nested_density(overrides, expected, write_config):
    path = write_config("density: {kind: subframe, past_gain: 0.3, inner: {kind: compact, num_couplings: 2}}")
    assert load_config(path, overrides).density == expected


def test_a_nested_kind_may_come_before_the_one_that_holds_it(write_config):
    overrides = ["density.inner.affine_bound=2", "density.inner.kind=gaussian", "density.kind=subframe"]
    expected = SubframeConfig(inner=GaussianConfig(affine_bound=2.0))
    assert load_config(write_config(""), overrides).density == expected


def test_older_names_are_still_understood(write_config):
    config = load_config(write_config("synthesis: {temperature: 0.5}"), ["train.sample_temperature=0.9"])
    assert config.synthesis.temperature == 0.9
