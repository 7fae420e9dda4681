"""Volume rendering: rays through pixels, samples along them, and the colour they add up to (paper, Appendix J).

All as in the simplified NeRF of Tancik et al. (2020), the set-up of the paper: directions are not
normalised, so that a distance is measured along the camera's axis.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

LAST_INTERVAL = 1e10  # of the last sample: what is left of the light ends there
FLOOR = 1e-10  # of the light that passes a sample


def pixel_rays(
    poses: jax.Array, rows: jax.Array, columns: jax.Array, shape: tuple[int, int], focal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Origins and directions (..., 3) of the rays of pixels in views of `shape` (height, width) pixels.

    `poses` (..., 4, 4) from camera to world, `focal` (...) in pixels. Pixel (row, column) looks along
    ((column - width/2)/focal, -(row - height/2)/focal, -1) in the camera's right, up and backward directions.
    """
    height, width = shape
    across = (columns - width / 2) / focal
    up = -(rows - height / 2) / focal
    camera = jnp.stack([across, up, -jnp.ones_like(across)], axis=-1)
    directions = jnp.einsum("...ij,...j->...i", poses[..., :3, :3], camera, precision="highest")
    return jnp.broadcast_to(poses[..., :3, 3], directions.shape), directions


def even_distances(near: float, far: float, samples: int) -> jax.Array:
    """Ray parameters (samples,) from `near` to `far`, both included: where test views are sampled."""
    return jnp.linspace(near, far, samples)


def stratified_distances(key: jax.Array, rays: int, near: float, far: float, samples: int) -> jax.Array:
    """Ray parameters (rays, samples), each moved on by a random part of (far - near)/samples."""
    jitter = jax.random.uniform(key, (rays, samples)) * ((far - near) / samples)
    return even_distances(near, far, samples) + jitter


@jax.custom_jvp
def running_product(x: jax.Array) -> jax.Array:
    """The products of the first 1, 2, ... entries along the last axis, for entries other than zero.

    Its derivative is y times the running sum of dx / x: `jnp.cumprod` differentiates each of its log n passes, which
    a GPU's compiler puts into one kernel of hundreds of branches.
    """
    return jnp.cumprod(x, axis=-1)


@running_product.defjvp
def _running_product_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    y = running_product(x)
    return y, y * jnp.cumsum(dx / x, axis=-1)


def weights(density: jax.Array, distances: jax.Array) -> jax.Array:
    """How much each sample (..., n) adds to its ray's colour: the light that reaches it, times what it absorbs.

    With intervals d_i = z_(i+1) - z_i, the last one 1e10, sample i absorbs a_i = 1 - exp(-density_i d_i)
    of what the samples before it let pass, the product of min(1, 1 - a_j + 1e-10) over j < i.
    """
    intervals = jnp.diff(distances, axis=-1)
    last = jnp.full_like(distances[..., :1], LAST_INTERVAL)
    absorbed = 1 - jnp.exp(-density * jnp.concatenate([intervals, last], axis=-1))
    # Compiled, 1 - a + 1e-10 becomes (1 + 1e-10) - a, in float32 1 - a: without the maximum it may be zero.
    passed = running_product(jnp.maximum(jnp.minimum(1, 1 - absorbed + FLOOR), FLOOR))
    reaching = jnp.concatenate([jnp.ones_like(passed[..., :1]), passed[..., :-1]], axis=-1)
    return absorbed * reaching


def composite(colours: jax.Array, density: jax.Array, distances: jax.Array) -> jax.Array:
    """Colours (..., 3) of rays on black, from the colours (..., n, 3) and densities (..., n) at their samples."""
    return jnp.sum(weights(density, distances)[..., None] * colours, axis=-2)
