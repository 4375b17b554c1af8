"""Which kinds there are of each part of a model, and where each kind's section of the config is defined.

The section of a density stands beside its class, which needs torch; it is imported when it is asked for. To add a
density is to write its module and to add its line here.
"""

from __future__ import annotations

import functools
from importlib import import_module

from wavetts.config.section import Section

_SCHEMA, _DENSITY = "wavetts.config.schema", "wavetts.model.density"
# Of each family the kinds, the default one first, as "module:class".
KINDS: dict[str, dict[str, str]] = {
    "encoder": {"cbhg": f"{_SCHEMA}:CBHGConfig", "conv_lstm": f"{_SCHEMA}:ConvLSTMConfig"},
    "attention": {
        "location": f"{_SCHEMA}:LocationAttentionConfig",
        "dynamic": f"{_SCHEMA}:DynamicAttentionConfig",
        "gmm": f"{_SCHEMA}:GMMAttentionConfig",
        "forward": f"{_SCHEMA}:ForwardAttentionConfig",
    },
    "density": {
        "flow": f"{_DENSITY}.flow:FlowConfig",
        "compact": f"{_DENSITY}.compact:CompactFlowConfig",
        "subframe": f"{_DENSITY}.subframe:SubframeConfig",
        "couplings": f"{_DENSITY}.couplings:CouplingFlowConfig",
        "linear_prediction": f"{_DENSITY}.linear_prediction:LinearPredictionConfig",
        "gaussian": f"{_DENSITY}.gaussian:GaussianConfig",
        "diffusion": f"{_DENSITY}.diffusion.density:DiffusionConfig",
        "guided": f"{_DENSITY}.diffusion.guidance:GuidedConfig",
        "student": f"{_DENSITY}.diffusion.student:StudentConfig",
        "cascade": f"{_DENSITY}.cascade:CascadeConfig",
        "tilt": f"{_DENSITY}.energy.tilt:TiltConfig",
        "recovery": f"{_DENSITY}.energy.recovery:RecoveryConfig",
    },
}


@functools.cache
def section_class(family: str, kind: str | None = None) -> type[Section]:
    """The class of a kind's section; of the default kind, if none is named.

    Raises:
        KeyError: there is no such family or kind.
    """
    kinds = KINDS[family]
    module, _, name = kinds[next(iter(kinds)) if kind is None else kind].partition(":")
    return getattr(import_module(module), name)
