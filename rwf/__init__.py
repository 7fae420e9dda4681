"""Random weight factorization and its relatives, as a change of variables on any network's parameters.

factors = rwf.factorize(params, rwf.RWF(mean=1.0, std=0.1), key)   # the same function, other variables
params = rwf.compose(factors)                                       # effective kernels and biases

After Wang, Wang, Seidman and Perdikaris (2022), arXiv:2210.01274.
"""

from rwf import activations, analysis, check, embeddings, jets, models
from rwf.factorization import Factored, compose, factorize, is_dense, trainable, verify
from rwf.fourier import FourierReparameterization
from rwf.functional import Constant, functional
from rwf.jets import Jet
from rwf.layers import Dense
from rwf.layouts import EQUINOX, FLAX, HAIKU, Layout
from rwf.masks import hidden_matrices, matrices
from rwf.naming import flatten, mask, unflatten
from rwf.parameterizations import (
    RWF,
    AdaptiveActivation,
    LayerwiseAdaptiveActivation,
    Parameterization,
    Plain,
    RWFFrozenScale,
    RWFLogScale,
    WeightNorm,
)
from rwf.places import Place
from rwf.rivals import ScaledAdaptiveActivation, WeightConditioning, WeightScaling
from rwf.wrapper import Reparameterized

__version__ = "0.1.0"

__all__ = [
    "EQUINOX",
    "FLAX",
    "HAIKU",
    "RWF",
    "AdaptiveActivation",
    "Constant",
    "Dense",
    "Factored",
    "FourierReparameterization",
    "Jet",
    "LayerwiseAdaptiveActivation",
    "Layout",
    "Parameterization",
    "Place",
    "Plain",
    "RWFFrozenScale",
    "RWFLogScale",
    "Reparameterized",
    "ScaledAdaptiveActivation",
    "WeightConditioning",
    "WeightNorm",
    "WeightScaling",
    "activations",
    "analysis",
    "check",
    "compose",
    "embeddings",
    "factorize",
    "flatten",
    "functional",
    "hidden_matrices",
    "is_dense",
    "jets",
    "mask",
    "matrices",
    "models",
    "trainable",
    "unflatten",
    "verify",
]
