"""Options of every kind of encoder, attention and density, as small as can be, by kind."""

from __future__ import annotations

ENCODERS = {
    "cbhg": {"embedding_dim": 6, "prenet_dims": [7, 5], "bank_size": 4, "hidden_dim": 6, "num_highway": 2},
    "conv_lstm": {"hidden_dim": 8, "num_layers": 2, "kernel_size": 3},
}
ATTENTIONS = {
    "location": {"hidden_dim": 8, "num_filters": 3, "kernel_size": 5},
    "dynamic": {"hidden_dim": 8, "num_filters": 2, "kernel_size": 5, "prior_length": 4},
    "gmm": {"hidden_dim": 8, "num_components": 2},
    "forward": {"hidden_dim": 8, "key_dim": 4, "max_move": 2},
}
DENSITIES = {
    "flow": {"squeeze": 4, "num_stages": 2, "num_steps": 2, "hidden_dim": 8, "position_dim": 4},
    "compact": {"num_couplings": 4, "hidden_dim": 8, "num_layers": 1},
    "subframe": {"subframe_length": 8, "context_dim": 6, "num_couplings": 2, "hidden_dim": 8},
    "gaussian": {},
    "linear_prediction": {
        "order": 4,
        "num_bins": 8,
        "inner": {"kind": "couplings", "num_couplings": 2, "hidden_dim": 8, "code_dim": 4},
    },
}
