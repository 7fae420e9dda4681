"""What the tasks on square images share: the coordinates of their pixels, and 8-bit pictures for the figures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def pixel_grid(size: int) -> np.ndarray:
    """Coordinates (column, row)/size of a square image's pixels: float32 (size, size, 2) in [0, 1).

    >>> pixel_grid(2)[0, 1].tolist()
    [0.5, 0.0]
    """
    axis = np.arange(size, dtype=np.float32) / np.float32(size)
    return np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)


def to_bytes(image: jax.Array) -> jax.Array:
    """Values in [0, 1], others clipped to it, as uint8.

    >>> to_bytes(jnp.array([-0.5, 0.2, 1.0])).tolist()
    [0, 51, 255]
    """
    return jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
