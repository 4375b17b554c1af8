from __future__ import annotations

import dataclasses
import json
import subprocess
import zlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from toy import toy_config

from wavetts.config import Config
from wavetts.config.registry import section_class
from wavetts.errors import UserError
from wavetts.model import checkpoint
from wavetts.model.density.subframe import SubframeConfig
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer
from wavetts.training import state as states


def make_tokenizer(letters: str = "abcdefgh") -> Tokenizer:
    return Tokenizer.build([letters], input="characters", language="en-us")


def write_model(path: Path, config: Config | None = None) -> WaveTacotron:
    config = config or toy_config()
    torch.manual_seed(0)
    model = WaveTacotron(config, len(make_tokenizer().symbols))
    model.scale.fill_(12.5)
    checkpoint.save_model(path, model.state_dict(), config, make_tokenizer(), {"step": 7})
    return model


def test_a_model_comes_back_whole(tmp_path: Path):
    model = write_model(tmp_path / "model.safetensors")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        loaded = checkpoint.load_model(path)
        assert loaded.config == toy_config() and loaded.tokenizer == make_tokenizer() and loaded.info == {"step": 7}
        assert not loaded.model.training
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.model.state_dict()[name], tensor), name
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_an_exported_model_is_half_the_size_and_the_same_to_rounding(tmp_path: Path):
    config, tokenizer = toy_config(), Tokenizer.build(["abc"], "characters", "en-us")
    model = WaveTacotron(config, len(tokenizer.symbols))
    model.scale.fill_(23.456789)
    checkpoint.save_model(tmp_path / "whole.safetensors", model.state_dict(), config, tokenizer, {"step": 3})
    checkpoint.export_model(tmp_path / "whole.safetensors", tmp_path / "half.safetensors")
    loaded = checkpoint.load_model(tmp_path / "half.safetensors")
    assert loaded.info == {"step": 3}
    assert loaded.model.scale == model.scale
    for name, parameter in loaded.model.named_parameters():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, model.get_parameter(name), rtol=1e-3, atol=1e-4)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    with torch.no_grad():
        model.decoder.stop.weight.fill_(1e6)
    checkpoint.save_model(tmp_path / "whole.safetensors", model.state_dict(), config, tokenizer, {})
    with pytest.raises(UserError, match=r"decoder\.stop\.weight does not fit"):
        checkpoint.export_model(tmp_path / "whole.safetensors", tmp_path / "other.safetensors")


def test_fewer_bits_are_rounded_and_compress(tmp_path: Path):
    whole, rounded = tmp_path / "whole.safetensors", tmp_path / "rounded.safetensors"
    write_model(whole)
    checkpoint.export_model(whole, tmp_path / "half.safetensors")
    checkpoint.export_model(whole, rounded, mantissa_bits=4)
    exact, ours = (safetensors.torch.load_file(path) for path in (whole, rounded))
    for name, tensor in exact.items():
        # Half of the last bit's weight: 2^-5 of the number; very small ones are subnormal.
        torch.testing.assert_close(ours[name].float(), tensor.float(), rtol=2**-5, atol=1e-7)
    half = len(zlib.compress((tmp_path / "half.safetensors").read_bytes()))
    assert len(zlib.compress(rounded.read_bytes())) < 0.75 * half


def test_missing_models_are_named(tmp_path: Path):
    with pytest.raises(UserError, match="no such model"):
        checkpoint.load_model(tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match=r"no model\.safetensors in it"):
        checkpoint.load_model(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 300, 20000, -1])
def test_a_truncated_model_is_one_line(tmp_path: Path, size: int):
    path = tmp_path / "model.safetensors"
    write_model(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="cut off or not a safetensors file") as caught:
        checkpoint.load_model(path)
    assert "\n" not in str(caught.value)


def test_foreign_and_inconsistent_files_are_refused(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="not a model of wavetts"):
        checkpoint.load_model(path)
    model = WaveTacotron(toy_config(), 11)
    weights = {**model.state_dict(), "scale": torch.zeros(3), "surplus": torch.zeros(1)}
    checkpoint.save_model(path, weights, toy_config(), make_tokenizer(), {})
    with pytest.raises(UserError, match=r"scale \[3\] for \[\]; surplus unknown"):
        checkpoint.load_model(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("config", "[" * 100_000, "its metadata is damaged"),
        ("tokenizer", "[" * 100_000, "its metadata is damaged"),
        ("info", "{" * 100_000, "its metadata is damaged"),
        ("wavetts", "[]", "its metadata is damaged"),
        ("decoder.hidden_dim", 10**12, "decoder.hidden_dim: 1000000000000 is too large; the most is 65536"),
        ("decoder.num_layers", 10**9, "decoder.num_layers: 1000000000 is too large; the most is 1000"),
        ("decoder.prenet_dims", [16] * 10_000, "decoder.prenet_dims: 10000 items; the most is 1000"),
        ("decoder.prenet_dims", [10**12], "decoder.prenet_dims: 1000000000000 is too large"),
        ("audio.frame_length", 10**8, r"audio.frame_length: 100000000 is not in \[1, 65536\]"),
        ("decoder.hidden_dim", 60_000, r"not those of its own config: decoder.hidden_dim is 60000, and all weights"),
    ],
)
def test_metadata_of_a_stranger_is_one_line(tmp_path: Path, key: str, value: object, message: str):
    write_model(path := tmp_path / "model.safetensors")
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    section, _, field = key.partition(".")
    if field:
        config = json.loads(metadata["config"])
        config[section][field] = value
        value = json.dumps(config)
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, path, {**metadata, section if not field else "config": value})
    with pytest.raises(UserError, match=message):
        checkpoint.load_model(path)


def test_an_export_overwrites_no_model(tmp_path: Path):
    write_model(tmp_path / "model.safetensors")
    write_model(tmp_path / "best.safetensors")
    (tmp_path / "link.safetensors").symlink_to("model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    for output in ("model.safetensors", "link.safetensors"):
        with pytest.raises(UserError, match=f"{output}: the model that is to be exported; write to another file"):
            checkpoint.export_model(tmp_path, tmp_path / output)
    for output in ("b.pt", "b", "model.safetensors.bak"):
        with pytest.raises(UserError, match=r"models are written as \.safetensors"):
            checkpoint.export_model(tmp_path, tmp_path / output)
    states.save_state(states.state_path(tmp_path, 3), {"step": 3})
    with pytest.raises(UserError, match="belongs to the training run in that folder"):
        checkpoint.export_model(tmp_path / "best.safetensors", tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("b*")) or [path.name for path in tmp_path.glob("b*")] == ["best.safetensors"]


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", checkpoint.FORMAT_VERSION + 1)
    write_model(tmp_path / "model.safetensors")
    monkeypatch.undo()
    with pytest.raises(UserError, match="newer; update wavetts"):
        checkpoint.load_model(tmp_path)


def test_states_fall_back_over_damaged_ones(tmp_path: Path):
    for step in (1, 2, 3):
        states.save_state(states.state_path(tmp_path, step), {"step": step, "x": torch.arange(1000)})
    states.prune_states(tmp_path)
    assert [path.name for path in states.list_states(tmp_path)] == ["state-00000002.pt", "state-00000003.pt"]
    newest = states.state_path(tmp_path, 3)
    whole = newest.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        newest.write_bytes(whole[:size])
        with pytest.warns(UserWarning, match=r"state-00000003\.pt: cut off, damaged .*; trying the state before it"):
            assert states.newest_state(tmp_path)["step"] == 2
    states.state_path(tmp_path, 2).unlink()
    with pytest.raises(UserError, match=r"state-00000003\.pt: damaged, as all states .* its model's weights"):
        states.newest_state(tmp_path)


def test_a_state_executes_nothing(tmp_path: Path):
    torch.save({"step": 1, "path": Path("x")}, states.state_path(tmp_path, 1))
    with pytest.raises(UserError, match="damaged"):
        states.load_state(states.state_path(tmp_path, 1))


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path):
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if mount.returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        path = tmp_path / "state-00000001.pt"
        states.save_state(path, {"step": 1})
        model = write_model(tmp_path / "model.safetensors")
        with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
            states.save_state(path, {"step": 2, "x": torch.zeros(500_000)})
        with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
            weights = {**model.state_dict(), "x": torch.zeros(500_000)}
            checkpoint.save_model(tmp_path / "model.safetensors", weights, toy_config(), make_tokenizer(), {})
        assert states.load_state(path) == {"step": 1}
        assert checkpoint.load_model(tmp_path).info == {"step": 7}
        assert sorted(item.name for item in tmp_path.iterdir()) == ["model.safetensors", "state-00000001.pt"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_start_from_keeps_old_symbols_and_scale_and_appends_new_ones(tmp_path: Path):
    old = write_model(tmp_path / "model.safetensors")
    model, tokenizer = states.start_from(tmp_path, toy_config(max_steps=5), make_tokenizer("aéxz"))
    assert tokenizer.symbols == (*make_tokenizer().symbols, *sorted("éxz"))
    rows = model.encoder.embedding.weight
    assert torch.equal(rows[:11], old.encoder.embedding.weight) and rows.shape[0] == 14
    assert rows[11:].abs().min() > 0
    assert float(model.scale) == 12.5


def test_start_from_another_shape_names_tensors_and_fields(tmp_path: Path):
    write_model(tmp_path / "model.safetensors")
    config = toy_config()
    config.decoder.prenet_dims = [16, 24]
    with pytest.raises(UserError, match=r"decoder\.prenet_dims: \[16, 16\] there, \[16, 24\] here.*decoder\.prenet"):
        states.start_from(tmp_path, config, make_tokenizer())
    config = toy_config()
    config.encoder.hidden_dim = 24
    with pytest.raises(UserError, match=r"encoder\.hidden_dim: 16 there, 24 here"):
        states.start_from(tmp_path, config, make_tokenizer())
    phonemes = Tokenizer(make_tokenizer().symbols, "phonemes", "en-us", "1.52.0")
    with pytest.raises(UserError, match=r"set text\.input=characters"):
        states.start_from(tmp_path, toy_config(), phonemes)


def test_start_from_a_density_that_holds_another_kind_starts_it_anew(tmp_path: Path):
    def config(inner: str) -> Config:
        density = SubframeConfig(subframe_length=80, context_dim=8, inner=section_class("density", inner)())
        return dataclasses.replace(toy_config(), density=density)

    torch.manual_seed(0)
    old = WaveTacotron(config("gaussian"), len(make_tokenizer().symbols))
    checkpoint.save_model(tmp_path / "model.safetensors", old.state_dict(), old.config, make_tokenizer(), {})
    with pytest.warns(UserWarning, match="is subframe of gaussian; the subframe of compact of this run starts anew"):
        model, _ = states.start_from(tmp_path, config("compact"), make_tokenizer())
    assert torch.equal(model.decoder.stop.weight, old.decoder.stop.weight)
