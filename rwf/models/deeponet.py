"""The deep operator network: a branch of the input function times a trunk of the point."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flax import nnx

from rwf import jets
from rwf.jets import Jet
from rwf.layers import Embedding, check_positive
from rwf.models.mlp import MLP
from rwf.typing import Activation, Array, Coordinates, Dtype, InputFunction


class DeepONet(nnx.Module):
    """G(a)(y) = sum over q of branch_q(a) trunk_q(y), without an output bias (Lu et al. 2021).

    `sensors` is the number of values that describe an input function, `in_features` the number of
    coordinates of a point. Branch and trunk have `depth` hidden layers each and a linear one after them, all
    of `width` neurons (equations 2.1-2.2 of the paper count so, and so does `MLP`). `branch(out_features=width,
    rngs=rngs)` makes another branch, for example `partial(CNN, size=64)`, and then `sensors` is not used
    and `depth` is the trunk's. `embedding` is in front of the trunk. `dtype` is that of
    `MLP`, for both sub-nets.

    Called as `network(a, y)`. Leading axes broadcast: input functions a of shape (F, 1, sensors) with
    points y of shape (P, in_features), shared by all functions, or (F, P, in_features), give (F, P);
    (N, sensors) with (N, in_features), one point for each function, gives (N,). The trunk is evaluated
    on y as given, so once for a shared set of points. y may be a `rwf.Jet`.
    """

    def __init__(
        self,
        sensors: int,
        in_features: int,
        *,
        depth: int,
        width: int,
        activation: Activation = "tanh",
        branch: Callable[..., nnx.Module] | None = None,
        embedding: Embedding | None = None,
        dtype: Dtype | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(sensors=sensors, in_features=in_features, depth=depth, width=width)
        sizes: dict[str, Any] = {"depth": depth, "width": width, "activation": activation}
        branch = partial(MLP, sensors, **sizes) if branch is None else branch
        types = {} if dtype is None else {"dtype": dtype}  # an own branch need not know of it
        self.branch: Any = branch(out_features=width, **types, rngs=rngs)
        self.trunk = MLP(in_features, width, **sizes, **types, embedding=embedding, rngs=rngs)

    def __call__(self, a: InputFunction, y: Coordinates | Jet) -> Array | Jet:
        return inner_product(self.branch(a), self.trunk(y))


def inner_product(branch: Array, trunk: Array | Jet) -> Array | Jet:
    """Sum of products over the last axis; a matrix product where all functions share the points."""
    if trunk.ndim == 2 and branch.ndim >= 2 and branch.shape[-2] == 1:
        return jets.linear(lambda stream: branch[..., 0, :] @ stream.T, trunk)
    left, right = jets.same_rank(branch, trunk)
    return (left * right).sum(-1)
