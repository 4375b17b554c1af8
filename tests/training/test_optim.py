from __future__ import annotations

import pytest
import torch
from toy import toy_config

from wavetts.model.density.transforms import InvertibleConv
from wavetts.training.optim import build_average, build_optimizer, clip_gradients, learning_rate


def test_learning_rate_warms_up_holds_and_falls():
    section = toy_config(
        max_steps=100, warmup_steps=10, decay_fraction=0.4, final_ratio=0.02, learning_rate=1.0, max_minutes=10
    ).train
    assert learning_rate(section, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(section, 9, 0.0) == learning_rate(section, 59, 0.0) == learning_rate(section, 20, 5.9) == 1.0
    assert learning_rate(section, 80, 0.0) == learning_rate(section, 20, 8.0) == pytest.approx(0.51)
    assert learning_rate(section, 100, 0.0) == learning_rate(section, 20, 11.0) == pytest.approx(0.02)


def test_only_matrices_decay():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    optimizer = build_optimizer(model, toy_config(weight_decay=0.1).train)
    decayed, rest = ([p.ndim for p in group["params"]] for group in optimizer.param_groups)
    assert decayed == [2] and rest == [1, 1, 1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_invertible_matrices_do_not_decay():
    flow = torch.nn.ModuleDict({"mix": InvertibleConv(4), "net": torch.nn.Linear(4, 4, bias=False)})
    optimizer = build_optimizer(flow, toy_config(weight_decay=0.1).train)
    decayed, rest = (group["params"] for group in optimizer.param_groups)
    assert [p is flow["net"].weight for p in decayed] == [True]
    assert [p is flow["mix"].weight for p in rest] == [True]


def test_average_forgets_its_start_and_copies_buffers():
    model = torch.nn.BatchNorm1d(1)
    average = build_average(model, decay=0.9)
    values = []
    for number in range(4):
        model.weight.data.fill_(float(number))
        model.running_mean.fill_(float(number))
        average.update_parameters(model)
        values.append(float(average.module.weight))
    # Decays 2/11, 3/12, 4/13 after the first update, which copies.
    expected = [0.0, 9 / 11]
    for number, decay in ((2, 3 / 12), (3, 4 / 13)):
        expected.append(decay * expected[-1] + (1 - decay) * number)
    assert values == pytest.approx(expected)
    assert float(average.module.running_mean) == 3.0
    assert not average.module.training


def test_clipping_reports_the_norm_before():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0]])
    assert clip_gradients(layer, 1.0) == 3.0
    assert float(layer.weight.grad) == pytest.approx(1.0, rel=1e-4)
