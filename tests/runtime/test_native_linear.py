"""The C kernel's products with matrices, and its step of an LSTM."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from wavetts.runtime import bindings as native  # noqa: E402
from wavetts.runtime.int8 import Int8LSTMCell  # noqa: E402

needs_kernel = pytest.mark.skipif(native.library() is None, reason="the C kernel is not built: pip install -e .")


@needs_kernel
@pytest.mark.parametrize("outputs, inputs", [(1, 1), (3, 5), (64, 1000), (67, 1344), (100, 20), (300, 33)])
@pytest.mark.parametrize("int8", [False, True])
def test_products_of_any_shape(outputs, inputs, int8):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(5, inputs)
    # The largest sums that there can be must not overflow.
    weight[0], x[0] = 1.0, 1.0
    y = torch.empty(5, outputs)
    native.call("linear", native.Linear.pack(weight, bias, 0 if int8 else None), (5,), x, y)
    if int8:
        codes, scale = native.quantize_rows(weight)
        weight = codes * scale[:, None]
    torch.testing.assert_close(y, nn.functional.linear(x, weight, bias), atol=2e-2 if int8 else 1e-4, rtol=1e-3)


@needs_kernel
@pytest.mark.parametrize("outputs, inputs", [(1, 1), (67, 1344), (300, 33)])
def test_tiles_and_rows_of_weights_give_the_same(outputs, inputs, monkeypatch):
    if not native.library().wavetts_tiled():
        pytest.skip("there are no tiles on this processor")
    torch.manual_seed(0)
    weight, bias, x = torch.randn(outputs, inputs), torch.randn(outputs), torch.randn(5, inputs)
    weight[0], x[0] = -1.0, 1.0
    results = torch.empty(2, 5, outputs)
    for y, tiled in zip(results, (1, 0), strict=True):
        monkeypatch.setattr(native.library(), "wavetts_tiled", lambda tiled=tiled: tiled)
        native.call("linear", native.Linear.pack(weight, bias, 0), (5,), x, y)
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


@needs_kernel
def test_lstm_step_is_torchs_but_for_its_weights():
    torch.manual_seed(0)
    lstm, x = nn.LSTMCell(320, 64), torch.randn(3, 320)
    ours = Int8LSTMCell(lstm)
    h, c = 3 * torch.randn(2, 3, 64)
    codes, scale = native.quantize_rows(torch.cat([lstm.weight_ih, lstm.weight_hh], dim=1))
    weights = (codes * scale[:, None]).split([320, 64], dim=1)
    exact = torch.lstm_cell(x, (h, c), *weights, lstm.bias_ih, lstm.bias_hh)
    for values, expected in zip(ours(x, (h, c)), exact, strict=True):
        torch.testing.assert_close(values, expected, atol=1e-3, rtol=1e-3)
