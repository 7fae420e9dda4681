"""Drawing without repetition against the laws of sampling, and errors against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.tasks.operators import check_call, distinct_pairs, errors

ROWS, COLUMNS, COUNT, KEYS = 50, 20, 100, 4000


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Whether each cell was drawn: (keys, rows, columns)."""
    keys = jax.random.split(jax.random.key(1), KEYS)
    row, column = jax.jit(jax.vmap(lambda key: distinct_pairs(key, ROWS, COLUMNS, COUNT)))(keys)
    table = np.zeros((KEYS, ROWS, COLUMNS), np.int32)
    np.add.at(table, (np.arange(KEYS)[:, None], np.asarray(row), np.asarray(column)), 1)
    return table


@pytest.mark.parametrize(("rows", "columns"), [(7, 3), (3, 7), (1, 5), (5, 1), (500, 20)])
def test_the_whole_table_once(rows, columns):
    row, column = distinct_pairs(jax.random.key(3), rows, columns, rows * columns)
    assert set(zip(row.tolist(), column.tolist(), strict=True)) == set(np.ndindex(rows, columns))


def test_never_twice_and_every_cell_equally_often(drawn):
    assert drawn.max() == 1
    share = COUNT / (ROWS * COLUMNS)
    z = (drawn.sum(0) - KEYS * share) / np.sqrt(KEYS * share * (1 - share))
    assert 0.9 < z.std() < 1.1 and np.abs(z).max() < 4.5


@pytest.mark.parametrize("axis", [1, 2])
def test_draws_of_a_row_or_column_follow_the_hypergeometric_law(drawn, axis):
    cells, own = ROWS * COLUMNS, (ROWS, COLUMNS)[axis - 1]
    counts = drawn.sum(axis)
    share = own / cells
    variance = COUNT * share * (1 - share) * (cells - COUNT) / (cells - 1)
    assert counts.mean() == pytest.approx(COUNT * share)
    assert counts.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (10, 0), (0, 10)])
def test_two_cells_come_together_as_often_as_chance_has_it(drawn, shift):
    both = drawn * np.roll(drawn, shift, axis=(1, 2))
    cells = ROWS * COLUMNS
    assert both.mean() == pytest.approx(COUNT * (COUNT - 1) / (cells * (cells - 1)), rel=0.03)


def test_other_keys_draw_other_cells(drawn):
    overlap = (drawn[:-1] * drawn[1:]).sum((1, 2))
    assert overlap.mean() == pytest.approx(COUNT**2 / (ROWS * COLUMNS), rel=0.05)


def test_errors_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    truth, prediction = rng.normal(size=(2, 5, 7, 6)).astype(np.float32)
    each = [np.linalg.norm(p - t) / np.linalg.norm(t) for p, t in zip(prediction, truth, strict=True)]
    found = errors(jnp.array(prediction), jnp.array(truth))
    assert float(found["relative_l2"]) == pytest.approx(np.mean(each), rel=1e-5)
    assert float(found["relative_l2_std"]) == pytest.approx(np.std(each), rel=1e-5)


def test_a_network_that_cannot_take_the_functions_is_said_so():
    def network(a, y):
        return a @ jnp.zeros((3, 1))

    check_call(network, (1, 1, 3), (1, 2))
    with pytest.raises(ValueError, match="does not take input functions of shape") as raised:
        check_call(network, (1, 1, 4), (1, 2))
    assert "\n" not in str(raised.value)
