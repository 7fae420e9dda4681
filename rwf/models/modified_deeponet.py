"""The modified deep operator network: both sub-nets gated by encoders of the function and the point."""

from __future__ import annotations

from typing import Any

from flax import nnx

from rwf import jets
from rwf.jets import Jet
from rwf.layers import (
    Dense,
    Embedding,
    activation_function,
    build_embedding,
    check_positive,
    dense_layers,
    layer_dtypes,
)
from rwf.typing import Activation, Array, Coordinates, Dtype, InputFunction


class ModifiedDeepONet(nnx.Module):
    """G(a)(y) = sum over q of branch_q trunk_q, where a and y reach every hidden layer of both sub-nets.

    With encoders U = act(a W_u + b_u) and V = act(y W_v + b_v), each of the `depth` hidden layers of branch
    and trunk computes Z = act(H W + b) and passes on Z U + (1 - Z) V; a linear layer follows in both, and
    there is no output bias. After the code of Wang, Wang and Perdikaris (2022); the paper's equations
    L.14-L.20 write an activation on the last layer too.

    Called as `network(a, y)` like `DeepONet`: (F, 1, sensors) with (P, in_features) or
    (F, P, in_features) gives (F, P). What depends on the function alone, or on shared points alone, is
    computed once for each; past the first gates everything depends on the pair. y may be a `rwf.Jet`.
    `dtype` is that of `MLP`; the gates are computed in it.
    """

    def __init__(
        self,
        sensors: int,
        in_features: int,
        *,
        depth: int,
        width: int,
        activation: Activation = "tanh",
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(sensors=sensors, in_features=in_features, depth=depth, width=width)
        self.embedding, features = build_embedding(embedding, in_features, rngs)
        activation_function(activation)  # an unknown name is an error here, not at the first call
        self.activation = activation
        of_a, of_y = (layer_dtypes(dtype, depth + 1, module)[0] for module in (None, self.embedding))
        self.encoder_u = Dense(sensors, width, **of_a, rngs=rngs)
        self.encoder_v = Dense(features, width, **of_y, rngs=rngs)
        self.branch = dense_layers([sensors, *[width] * (depth + 1)], dtype=dtype, rngs=rngs)
        self.trunk = dense_layers(
            [features, *[width] * (depth + 1)], dtype=dtype, embedding=self.embedding, rngs=rngs
        )

    def __call__(self, a: InputFunction, y: Coordinates | Jet) -> Array | Jet:
        activate = activation_function(self.activation)
        sensors, point = jets.same_rank(a, y if self.embedding is None else self.embedding(y))
        v = activate(self.encoder_v(point))
        u_minus_v = activate(self.encoder_u(sensors)) - v

        def sub_net(layers: Any, h: Array | Jet) -> Array | Jet:
            for layer in layers[:-1]:
                h = v + activate(layer(h)) * u_minus_v
            return layers[-1](h)

        return (sub_net(self.branch, sensors) * sub_net(self.trunk, point)).sum(-1)
