"""What the tasks on images share: the coordinates of their pixels, and 8-bit pictures for the figures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def pixel_grid(height: int, width: int | None = None) -> np.ndarray:
    """Coordinates (column, row)/n of an image's pixels, n those of its longer side: float32 (height, width, 2).

    Without `width` the image is square. All coordinates are in [0, 1).

    >>> pixel_grid(2)[0, 1].tolist(), pixel_grid(2, 4)[1, 3].tolist()
    ([0.5, 0.0], [0.75, 0.25])
    """
    width = height if width is None else width
    rows, columns = (np.arange(n, dtype=np.float32) / np.float32(max(height, width)) for n in (height, width))
    return np.stack(np.meshgrid(columns, rows, indexing="xy"), axis=-1)


def to_bytes(image: jax.Array) -> jax.Array:
    """Values in [0, 1], others clipped to it, as uint8.

    >>> to_bytes(jnp.array([-0.5, 0.2, 1.0])).tolist()
    [0, 51, 255]
    """
    return jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
