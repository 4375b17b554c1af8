from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from toy import toy_config

from wavetts.errors import UserError
from wavetts.model import checkpoint
from wavetts.model import lora as adapter
from wavetts.model.tacotron import WaveTacotron
from wavetts.text.tokenizer import Tokenizer
from wavetts.training import state as states

TOKENIZER = Tokenizer.build(["abcdefgh"], input="characters", language="en-us")
MORE_SYMBOLS = Tokenizer.build(["abcdefghij"], input="characters", language="en-us")
MATRIX = "decoder.prenet.0.weight"


def random_model(tokenizer: Tokenizer = TOKENIZER) -> WaveTacotron:
    torch.manual_seed(0)
    return WaveTacotron(toy_config(), len(tokenizer.symbols))


def save(path: Path, model: WaveTacotron, tokenizer: Tokenizer = TOKENIZER, step: int = 1) -> Path:
    checkpoint.save_model(path, model.state_dict(), toy_config(), tokenizer, {"step": step})
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save(tmp_path / "joe" / "model.safetensors", random_model())


def changed_model(rank: int) -> WaveTacotron:
    model = random_model()
    with torch.no_grad():
        weight = dict(model.named_parameters())[MATRIX]
        weight += 0.1 * torch.randn(len(weight), rank) @ torch.randn(rank, weight.shape[1])
        model.decoder.stop.bias += 1
    return model


def test_a_low_rank_change_comes_back_and_nothing_else_is_stored(base: Path, tmp_path: Path):
    run, small = tmp_path / "run.safetensors", tmp_path / "ann" / "model.safetensors"
    model = changed_model(rank=2)
    save(run, model, step=9)
    kept = checkpoint.export_model(run, small, base=base, rank=2)
    assert kept == {MATRIX: pytest.approx(1)}
    stored = safetensors.torch.load_file(small)
    assert stored.keys() == {f"{MATRIX}.up", f"{MATRIX}.down", "decoder.stop.bias"}
    loaded = checkpoint.load_model(small)
    assert loaded.info == {"step": 9}
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)
    assert small.stat().st_size < 0.2 * base.stat().st_size


def test_the_best_change_of_a_rank_keeps_the_largest_singular_values():
    torch.manual_seed(0)
    left, right = torch.linalg.qr(torch.randn(30, 3))[0], torch.linalg.qr(torch.randn(20, 3))[0]
    change = (left * torch.tensor([3.0, 2.0, 1.0])) @ right.T
    base = {"weight": torch.randn(30, 20)}
    stored, kept = adapter.low_rank_change(base, {"weight": base["weight"] + change}, rank=2)
    assert kept["weight"] == pytest.approx(13 / 14, abs=1e-5)
    error = adapter.apply_change(base, stored)["weight"] - base["weight"] - change
    assert float(torch.linalg.matrix_norm(error, 2)) == pytest.approx(1, abs=1e-4)


def test_filters_single_numbers_and_new_symbols(tmp_path: Path):
    old = {
        "conv": torch.randn(8, 6, 5),
        "scale": torch.tensor(2.0),
        "rows": torch.randn(3, 4),
        "order": torch.arange(9),
    }
    new = {**old, "conv": old["conv"] + 1, "scale": torch.tensor(3.0), "rows": torch.randn(5, 4)}
    stored, _ = adapter.low_rank_change(old, new, rank=1)
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == {
        "conv.up": (8, 1),
        "conv.down": (1, 30),
        "scale": (),
        "rows": (5, 4),
    }
    back = adapter.apply_change(old, stored)
    for name, tensor in new.items():
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=1e-5)


def test_what_builds_on_an_adapter_builds_on_its_base(base: Path, tmp_path: Path):
    run, first = save(tmp_path / "run.safetensors", changed_model(1)), tmp_path / "ann" / "model.safetensors"
    checkpoint.export_model(run, first, base=base)
    second = tmp_path / "bob" / "model.safetensors"
    checkpoint.export_model(run, second, base=first)
    first.unlink()
    bias = checkpoint.load_model(second).model.decoder.stop.bias
    torch.testing.assert_close(bias, changed_model(1).decoder.stop.bias, rtol=1e-3, atol=1e-3)
    # A whole model again, for who wants to pass on one file.
    checkpoint.export_model(second, tmp_path / "whole.safetensors")
    base.unlink()
    weights = checkpoint.load_model(tmp_path / "whole.safetensors").model.state_dict()
    torch.testing.assert_close(weights[MATRIX], changed_model(1).state_dict()[MATRIX], rtol=1e-3, atol=1e-3)


def test_training_goes_on_from_one_with_new_symbols(base: Path, tmp_path: Path):
    run = save(tmp_path / "run.safetensors", random_model(MORE_SYMBOLS), MORE_SYMBOLS)
    small = tmp_path / "ann" / "model.safetensors"
    checkpoint.export_model(run, small, base=base)
    model, tokenizer = states.start_from(small, toy_config(), TOKENIZER)
    assert tokenizer.symbols == MORE_SYMBOLS.symbols
    assert len(model.encoder.embedding.weight) == len(MORE_SYMBOLS.symbols)


def test_the_base_is_found_beside_it_or_among_the_voices_and_must_be_the_same(base: Path, tmp_path: Path):
    small = tmp_path / "ann" / "model.safetensors"
    checkpoint.export_model(save(tmp_path / "run.safetensors", changed_model(1)), small, base=base)
    alone = tmp_path / "elsewhere" / "deep" / "model.safetensors"
    alone.parent.mkdir(parents=True)
    shutil.copy(small, alone)
    voices = tmp_path / "voices"
    message = rf"{alone}: builds on the model joe/model\.safetensors, and it is not beside it nor in {voices}; copy"
    with pytest.raises(UserError, match=message):
        checkpoint.load_model(alone, voice_folders=[voices])
    shutil.copytree(base.parent, voices / "joe")
    checkpoint.load_model(alone, voice_folders=[voices])
    with torch.no_grad():
        other = random_model()
        other.scale.fill_(2)
    save(voices / "joe" / "model.safetensors", other)
    with pytest.raises(UserError, match="is another one; copy the one that it was made from there"):
        checkpoint.load_model(alone, voice_folders=[voices])


def test_a_model_is_not_written_over_its_base(base: Path, tmp_path: Path):
    run, before = save(tmp_path / "run.safetensors", changed_model(1)), base.read_bytes()
    with pytest.raises(UserError, match="the model that this one is to build on; write to another file"):
        checkpoint.export_model(run, base, base=base)
    assert base.read_bytes() == before
