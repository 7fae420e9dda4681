"""The paper's network architectures, as Flax NNX modules that take arrays and `rwf.Jet`s alike."""

from rwf.models.mlp import MLP

__all__ = ["MLP"]
