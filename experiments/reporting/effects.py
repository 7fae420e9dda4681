"""The mean of paired differences over items and seeds, both random: its error and degrees of freedom.

A difference belongs to an item (an image, a phantom) and a seed (initialisation and Fourier matrix, which all items
of a seed share). The model is x_is = m + a_i + b_s + e_is with independent a, b and e: crossed random effects
(Searle, Casella and McCulloch, Variance Components, 1992). The variance of the mean is the combination of mean
squares whose expectation it is; for a full table of I items and S seeds (MS_items + MS_seeds - MS_rest) / (I S).
It is never taken below the larger of MS_items and MS_seeds over the same count, since the difference can come
out near zero or negative by chance. Degrees of freedom are Satterthwaite's (1946).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Layout:
    """Which item and which seed each of N differences belongs to, as numbers from 0; cells may be missing."""

    items: tuple[int, ...]
    seeds: tuple[int, ...]

    @cached_property
    def factors(self) -> list[np.ndarray]:
        """Indicator matrices (N, levels) of the factors with several levels: items, seeds, or one of them."""
        found = [np.eye(max(levels) + 1)[list(levels)] for levels in (self.items, self.seeds)]
        return [indicator for indicator in found if indicator.shape[1] > 1]

    @cached_property
    def forms(self) -> list[tuple[np.ndarray, int]]:
        """Quadratic forms (N, N) of the mean squares with their degrees of freedom: each factor, then the rest."""
        count = len(self.items)
        mean = np.full((count, count), 1 / count)
        forms = [((z / z.sum(axis=0) @ z.T - mean) / (z.shape[1] - 1), z.shape[1] - 1) for z in self.factors]
        if len(forms) == 2:
            both = np.hstack(self.factors)
            rank = int(np.linalg.matrix_rank(both))
            if rank < count:
                rest = np.eye(count) - both @ np.linalg.pinv(both)
                forms.append((rest / (count - rank), count - rank))
        return forms

    @cached_property
    def weights(self) -> np.ndarray:
        """By how much each mean square counts in the variance of the mean.

        One factor: its mean square estimates the whole. Two without a rest (no degree of freedom is left for it): the
        variance of the rest is counted with both factors, which errs on the side of a wide interval.
        """
        count = len(self.items)
        if len(self.factors) == 1:
            return np.array([1 / count])
        parts = [z @ z.T for z in self.factors] + [np.eye(count)] * (len(self.forms) - 2)
        expected = np.array([[np.sum(form * part) for part in parts] for form, _ in self.forms])
        wanted = np.array([part.sum() / count**2 for part in parts])
        return np.linalg.lstsq(expected.T, wanted, rcond=None)[0]


def mean_effect(differences: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (...) of `differences` (..., N), and standard errors and degrees of freedom (K, ...) to judge them by.

    A conclusion has to hold by each of the K. The first is the crossed model's; with two factors the others take
    items alone and seeds alone as units, so that an interval is never narrower than either gives. Without them a
    factor of two levels, whose mean square may be small by chance, makes intervals that cover too seldom.
    Raises ValueError for a single item of a single seed, which has no error.
    """
    if not layout.factors:
        raise ValueError("a single difference has no error")
    mean = differences.mean(axis=-1)
    centred = differences - mean[..., None]
    squares = np.stack([((centred @ form) * centred).sum(axis=-1) for form, _ in layout.forms])
    by_form = (-1,) + (1,) * mean.ndim
    terms = layout.weights.reshape(by_form) * np.maximum(squares, 0)
    freedom = np.array([freedom for _, freedom in layout.forms], float).reshape(by_form)
    alone = terms[: len(layout.factors)]
    variance = np.maximum(terms.sum(axis=0), alone.max(axis=0))
    spread = (terms**2 / freedom).sum(axis=0)
    satterthwaite = np.divide(variance**2, spread, out=np.ones_like(variance), where=spread > 0)
    variances, freedoms = variance[None], np.maximum(satterthwaite, 1.0)[None]
    if len(layout.factors) == 2:
        variances = np.concatenate([variances, alone])
        freedoms = np.concatenate([freedoms, np.broadcast_to(freedom[:2], alone.shape)])
    return mean, np.sqrt(variances), freedoms


def half_width(errors: np.ndarray, freedoms: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Half the width of the confidence interval, shape (...), of `errors` and `freedoms`, shape (K, ...)."""
    return (stats.t.ppf(0.5 + level / 2, freedoms) * errors).max(axis=0)


def tail(excess: float, errors: np.ndarray, freedoms: np.ndarray) -> float:
    """One-sided p-value of an estimate that lies `excess` beyond a bound, by the errors (K,) and freedoms (K,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors > 0, excess / errors, np.inf if excess > 0 else -np.inf)
    return float(stats.t.sf(ratios, freedoms).max())
