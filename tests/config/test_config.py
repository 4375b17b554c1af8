from __future__ import annotations

import dataclasses

import pytest
import yaml
from paths import ROOT

from wavetts.config import AudioConfig, CBHGConfig, Config, ConvLSTMConfig, TrainConfig
from wavetts.config.load import describe, dump_config, from_dict, load_config, section_classes, to_dict
from wavetts.config.registry import KINDS
from wavetts.errors import UserError
from wavetts.model.density.compact import CompactFlowConfig
from wavetts.model.density.gaussian import GaussianConfig
from wavetts.model.density.subframe import SubframeConfig

RECIPES = sorted((ROOT / "recipes" / "train").glob("*.yaml"))
NAMES = {cls: name for name, cls in section_classes()}
SECTIONS = list(NAMES)
KNOWN = "known: text, audio, encoder, attention, decoder, density, train, synthesis"


def message(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Recipes


def test_recipes_are_there():
    names = "ljspeech_paper_chars ljspeech_paper_phonemes ljspeech_small compact_16k diffusion_16k toy"
    assert {*names.split()} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_loads_with_its_values(path):
    config, values = to_dict(load_config(path)), yaml.safe_load(path.read_text(encoding="utf-8"))
    assert_within(values, config, path.stem)


def assert_within(values: dict, config: dict, where: str) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            assert_within(value, config[key], f"{where}.{key}")
        else:
            assert config[key] == value, f"{where}.{key}"


def test_paper_recipes_differ_in_their_input_alone():
    chars, phonemes = (
        to_dict(load_config(path))
        for path in RECIPES
        if path.stem in ("ljspeech_paper_chars", "ljspeech_paper_phonemes")
    )
    assert (chars.pop("text")["input"], phonemes.pop("text")["input"]) == ("characters", "phonemes")
    assert chars == phonemes


# Fields and their documentation


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_one_line_of_documentation(section):
    assert dataclasses.fields(section)
    for field in dataclasses.fields(section):
        doc = field.metadata["doc"]
        assert doc.strip() and "\n" not in doc, field.name


def test_describe_lists_every_field_with_default_and_documentation():
    text = describe()
    blocks = text.strip().split("\n\n")
    assert len(blocks) == len(SECTIONS)
    described = [yaml.safe_load(block) for block in blocks]
    for section in SECTIONS:
        assert {NAMES[section]: dataclasses.asdict(section())} in described
        for field in dataclasses.fields(section):
            assert any(
                line.strip().startswith(f"{field.name}: ") and line.endswith(f"  # {field.metadata['doc']}")
                for line in text.splitlines()
            ), field.name


def test_defaults_are_not_shared_between_configs():
    Config().encoder.prenet_dims.append(1)
    assert Config().encoder.prenet_dims == [256, 128]


# Round trips


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_dict_round_trip_of_every_kind(section):
    # An energy is of 160 values at most.
    config = Config(**{"audio": AudioConfig(frame_length=160), NAMES[section]: section()})
    again = from_dict(to_dict(config))
    assert again == config
    assert type(getattr(again, NAMES[section])) is section


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_dumped_config_loads_back(path, write_config):
    config = load_config(path, ["train.learning_rate=1.5e-5"])
    assert load_config(write_config(dump_config(config))) == config


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}"])
def test_empty_file_is_the_default(text, write_config):
    assert load_config(write_config(text)) == Config()


def test_left_out_fields_keep_the_defaults_of_the_named_kind(write_config):
    config = load_config(write_config("encoder: {kind: conv_lstm, num_layers: 2}"))
    assert config.encoder == ConvLSTMConfig(num_layers=2)


def test_left_out_kind_is_the_default_one():
    assert from_dict({"encoder": {"hidden_dim": 64}}).encoder == CBHGConfig(hidden_dim=64)


# Mistakes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Unknown names
        ({"trian": {}}, "c: trian: no such section; did you mean train?"),
        (
            {"zzz": {}},
            f"c: zzz: no such section; {KNOWN}",
        ),
        ({7: {}}, f"c: 7: no such section; {KNOWN}"),
        ({"train": {"learning_rat": 1}}, "c: train.learning_rat: no such field; did you mean learning_rate?"),
        ({"audio": {"zzz": 1}}, "c: audio.zzz: no such field; known: sample_rate, frame_length, preemphasis, dither"),
        ({"text": {"kind": "x"}}, "c: text.kind: no such field; known: input, language"),
        ({"encoder": {"kind": "conv_lstm", "bank_size": 4}}, "c: encoder.bank_size: no such field"),
        ({"encoder": {"kind": "cbgh"}}, "c: encoder.kind: 'cbgh' is not one of cbhg, conv_lstm"),
        ({"attention": {"kind": None}}, "c: attention.kind: None is not one of location, dynamic, gmm, forward"),
        ({"density": {"kind": ["flow"]}}, f"c: density.kind: ['flow'] is not one of {', '.join(KINDS['density'])}"),
        # Wrong types
        ([1], "c: expected the sections of a config, got [1]"),
        ("text", "c: expected the sections of a config, got 'text'"),
        ({"train": None}, "c: train: expected fields below it, not None"),
        ({"train": [1]}, "c: train: expected fields below it, not [1]"),
        ({"train": {"max_steps": "many"}}, "c: train.max_steps: 'many' is not a whole number"),
        ({"train": {"max_steps": 1.5}}, "c: train.max_steps: 1.5 is not a whole number"),
        ({"train": {"max_steps": True}}, "c: train.max_steps: True is not a whole number"),
        ({"train": {"max_steps": None}}, "c: train.max_steps: None is not a whole number"),
        ({"train": {"learning_rate": "fast"}}, "c: train.learning_rate: 'fast' is not a number"),
        ({"train": {"learning_rate": False}}, "c: train.learning_rate: False is not a number"),
        ({"train": {"max_minutes": 10**400}}, f"c: train.max_minutes: {10**400} is not a number"),
        ({"train": {"compile": 1}}, "c: train.compile: 1 is not true or false"),
        ({"train": {"precision": "fp16"}}, "c: train.precision: 'fp16' is not one of float32, bf16"),
        ({"text": {"input": "words"}}, "c: text.input: 'words' is not one of phonemes, characters"),
        ({"text": {"language": 5}}, "c: text.language: 5 is not a text"),
        ({"decoder": {"prenet_dims": 64}}, "c: decoder.prenet_dims: 64 is not a list of int"),
        ({"decoder": {"prenet_dims": [64, "x"]}}, "c: decoder.prenet_dims: 'x' is not a whole number"),
        # Out of range
        ({"audio": {"sample_rate": 0}}, "c: audio.sample_rate: 0 is not positive"),
        ({"audio": {"frame_length": -960}}, "c: audio.frame_length: -960 is not in [1, 65536]"),
        ({"audio": {"preemphasis": 1.0}}, "c: audio.preemphasis: 1.0 is not in [0, 1)"),
        ({"audio": {"preemphasis": -0.1}}, "c: audio.preemphasis: -0.1 is not in [0, 1)"),
        ({"audio": {"dither": -0.1}}, "c: audio.dither: -0.1 is negative"),
        ({"audio": {"dither": float("nan")}}, "c: audio.dither: nan is not a finite number"),
        (
            {"audio": {"frame_length": 1000}},
            "c: audio.frame_length: 1000 is not a multiple of 160, squeeze * 2^(num_stages - 1)",
        ),
        ({"density": {"squeeze": 5}}, "c: density.squeeze: 5 is odd; couplings split the channels in two"),
        ({"density": {"position_dim": 63}}, "c: density.position_dim: 63 is odd"),
        ({"density": {"num_stages": 0}}, "c: density.num_stages: 0 is not positive"),
        (
            {"density": {"kind": "compact"}, "audio": {"frame_length": 321}},
            "c: audio.frame_length: 321 is odd; couplings split it in two",
        ),
        (
            {"density": {"kind": "compact", "num_couplings": 3}},
            "c: density.num_couplings: 3 is odd; couplings come in pairs",
        ),
        (
            {"density": {"kind": "subframe", "subframe_length": 100}},
            "c: audio.frame_length: 960 is not a multiple of 100, density.subframe_length",
        ),
        (
            {"density": {"kind": "subframe", "subframe_length": 15}},
            "c: density.subframe_length: 15 is odd; couplings split it in two",
        ),
        ({"density": {"kind": "subframe", "past_noise": -1}}, "c: density.past_noise: -1.0 is negative"),
        ({"density": {"kind": "compact", "scale_bound": 0.0}}, "c: density.scale_bound: 0.0 is not positive"),
        ({"encoder": {"kind": "conv_lstm", "kernel_size": 4}}, "c: encoder.kernel_size: 4 is even"),
        (
            {"encoder": {"kind": "conv_lstm", "hidden_dim": 7}},
            "c: encoder.hidden_dim: 7 is odd; each LSTM direction has half",
        ),
        ({"encoder": {"dropout": 1.0}}, "c: encoder.dropout: 1.0 is not in [0, 1)"),
        ({"encoder": {"prenet_dims": []}}, "c: encoder.prenet_dims: is empty"),
        ({"encoder": {"prenet_dims": [8, 0]}}, "c: encoder.prenet_dims: 0 is not positive"),
        ({"attention": {"kernel_size": 30}}, "c: attention.kernel_size: 30 is even"),
        ({"attention": {"kind": "dynamic", "prior_alpha": 0}}, "c: attention.prior_alpha: 0.0 is not positive"),
        ({"attention": {"kind": "gmm", "step_bias": -1}}, "c: attention.step_bias: -1.0 is not positive"),
        ({"decoder": {"cond_dim": -1}}, "c: decoder.cond_dim: -1 is negative"),
        ({"decoder": {"hidden_dim": 0}}, "c: decoder.hidden_dim: 0 is not positive"),
        ({"train": {"betas": [0.9]}}, "c: train.betas: [0.9] is not a pair"),
        ({"train": {"betas": [0.9, 1.0]}}, "c: train.betas: 1.0 is not in [0, 1)"),
        ({"train": {"max_steps": 0}}, "c: train.max_steps: 0 is not positive"),
        ({"train": {"batch_seconds": 0}}, "c: train.batch_seconds: 0.0 is not positive"),
        ({"train": {"accumulate": 0}}, "c: train.accumulate: 0 is not positive"),
        ({"train": {"learning_rate": float("nan")}}, "c: train.learning_rate: nan is not positive"),
        ({"train": {"learning_rate": float("inf")}}, "c: train.learning_rate: inf is not positive"),
        ({"train": {"log_every": 0}}, "c: train.log_every: 0 is not positive"),
        ({"train": {"history_noise": -1}}, "c: train.history_noise: -1.0 is negative"),
        ({"train": {"ema_decay": 1}}, "c: train.ema_decay: 1.0 is not in [0, 1)"),
        ({"train": {"seed": 10**22}}, f"c: train.seed: {10**22} is too large; the most is {2**63 - 1}"),
        ({"audio": {"frame_length": 10**8}}, "c: audio.frame_length: 100000000 is not in [1, 65536]"),
        ({"decoder": {"hidden_dim": 10**12}}, f"c: decoder.hidden_dim: {10**12} is too large; the most is 65536"),
        ({"density": {"num_stages": 10**9}}, f"c: density.num_stages: {10**9} is too large; the most is 1000"),
        ({"decoder": {"prenet_dims": [1] * 1001}}, "c: decoder.prenet_dims: 1001 items; the most is 1000"),
    ],
    ids=lambda value: None if isinstance(value, (dict, list)) else value[:60],
)
def test_mistakes_are_named(values, expected):
    said = message(from_dict, values, "c")
    # Where a list of known fields follows, its beginning is enough.
    assert said == expected or (expected.endswith("no such field") and said.startswith(expected + "; "))


@pytest.mark.parametrize(
    "values",
    [
        {"decoder": {"cond_dim": 0, "num_layers": 0, "prenet_dims": []}},
        {"density": {"kind": "compact", "num_layers": 0}},
        {"density": {"position_dim": 0}},
        {"audio": {"preemphasis": 0, "dither": 0}},
        {
            "train": {
                "seed": 0,
                "warmup_steps": 0,
                "prior_steps": 0,
                "adapter_rank": 0,
                "num_samples": 0,
                "weight_decay": 0,
            }
        },
    ],
    ids=str,
)
def test_zero_that_means_none_is_allowed(values):
    for section, fields in values.items():
        assert fields.items() <= to_dict(from_dict(values))[section].items()


def test_missing_file(tmp_path):
    path = tmp_path / "nowhere.yaml"
    assert message(load_config, path) == (
        f"{path}: no such config file; configs that have a name are compact_16k, diffusion_16k, linear_prediction_16k, "
        "ljspeech_paper_chars, ljspeech_paper_phonemes, ljspeech_small, toy"
    )


def test_folder_or_binary_file(tmp_path):
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00\xd8")
    assert message(load_config, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert message(load_config, binary).startswith(f"{binary}:1: not UTF-8 (byte 0xff)")


def test_not_yaml(write_config):
    path = write_config("train: {max_steps: 1\naudio: ]")
    assert message(load_config, path).startswith(f"{path}: not YAML: ")
    assert "line 2" in message(load_config, path)


def test_mistake_in_a_file_names_the_file(write_config):
    path = write_config("train: {max_steps: soon}")
    assert message(load_config, path) == f"{path}: train.max_steps: 'soon' is not a whole number"


# Sections that are built in Python


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: TrainConfig(learning_rate=-1.0), "learning_rate: -1.0 is not positive"),
        (lambda: dataclasses.replace(TrainConfig(), ema_decay=1.0), "ema_decay: 1.0 is not in [0, 1)"),
        (lambda: ConvLSTMConfig(kernel_size=4), "kernel_size: 4 is even"),
        (lambda: CBHGConfig(prenet_dims=[]), "prenet_dims: is empty"),
        (lambda: dataclasses.replace(CompactFlowConfig(), num_couplings=5), "num_couplings: 5 is odd; couplings"),
        (
            lambda: Config(density=SubframeConfig(subframe_length=15)),
            "density.subframe_length: 15 is odd",
        ),
        (
            lambda: dataclasses.replace(Config(), density=SubframeConfig(subframe_length=100)),
            "audio.frame_length: 960 is not a multiple of 100",
        ),
    ],
)
def test_bounds_are_checked_whenever_a_section_is_built(make, expected):
    assert message(make).startswith(expected)


# Sections that hold others, and older files


def test_densities_nest():
    values = {"density": {"kind": "subframe", "subframe_length": 15, "inner": {"kind": "gaussian", "affine_bound": 3}}}
    config = from_dict(values)
    assert config.density == SubframeConfig(subframe_length=15, inner=GaussianConfig(affine_bound=3.0))
    assert from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        ({"inner": {"kind": "gausian"}}, "c: density.inner.kind: 'gausian' is not one of flow, compact, subframe"),
        ({"inner": {"kind": "gaussian", "hidden": 1}}, "c: density.inner.hidden: no such field"),
        ({"inner": {"affine_bound": 0, "kind": "gaussian"}}, "c: density.inner.affine_bound: 0.0 is not positive"),
        ({"inner": {"kind": "compact", "num_couplings": 3}}, "c: density.inner.num_couplings: 3 is odd"),
        ({"inner": "gaussian"}, "c: density.inner: expected fields below it, not 'gaussian'"),
        ({"inner": {"kind": "gaussian"}, "num_couplings": 2}, "c: density.num_couplings: no such field"),
        (
            {"subframe_length": 80, "inner": {"kind": "subframe", "subframe_length": 50}},
            "c: density.subframe_length: 80 is not a multiple of 50, density.inner.subframe_length",
        ),
    ],
    ids=str,
)
def test_mistakes_in_nested_sections_are_named(density, expected):
    assert message(from_dict, {"density": {"kind": "subframe", **density}}, "c").startswith(expected)


def test_older_files_have_the_compact_flows_fields_among_the_subframes():
    flat = {"kind": "subframe", "subframe_length": 80, "num_couplings": 6, "hidden_dim": 192, "num_layers": 2}
    flat |= {"num_cepstra": 32, "affine_bound": 5.0, "scale_bound": 1.0, "precision": "bf16", "past_gain": 0.3}
    config = from_dict({"density": flat})
    sizes = {"num_couplings": 6, "hidden_dim": 192, "num_layers": 2, "num_cepstra": 32}
    inner = CompactFlowConfig(**sizes, affine_bound=5.0, scale_bound=1.0, precision="bf16")
    assert config.density == SubframeConfig(subframe_length=80, past_gain=0.3, precision="bf16", inner=inner)
    assert from_dict({"density": {"kind": "subframe"}}).density == SubframeConfig()


def test_older_files_have_the_voices_defaults_in_train():
    config = from_dict({"train": {"sample_temperature": 0.9, "sample_guidance": 0.5, "seed": 3}})
    assert (config.synthesis.temperature, config.synthesis.guidance, config.train.seed) == (0.9, 0.5, 3)
    said = message(from_dict, {"train": {"sample_temperature": -1}}, "c")
    assert said == "c: synthesis.temperature: -1.0 is negative"
