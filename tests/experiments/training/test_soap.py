"""SOAP against dense linear algebra, and the symmetry that its equations have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.training.soap import scale_by_soap

B1, B2, EPS = 0.9, 0.95, 1e-8


def gradients(steps, shape, seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal(shape)
    return [mean + rng.standard_normal(shape) for _ in range(steps)]


def ours(sequence, **options):
    """The directions of each step, in float64."""
    with jax.enable_x64(True):
        transformation = scale_by_soap(B1, B2, EPS, **options)
        state = transformation.init({"w": jnp.zeros(sequence[0].shape, jnp.float64)})
        update, found = jax.jit(transformation.update), []
        for gradient in sequence:
            updates, state = update({"w": jnp.asarray(gradient)}, state)
            found.append(np.asarray(updates["w"]))
    return found


def dense(sequence, every, rotate_left=True):
    """The same as vectors: the basis of vec(G) is the Kronecker product of both sides' eigenvectors."""
    m, n = sequence[0].shape
    left, right = np.zeros((m, m)), np.zeros((n, n))
    q_left, q_right = np.eye(m), np.eye(n)
    first, second, found = np.zeros(m * n), np.zeros(m * n), []
    for step, gradient in enumerate(sequence):
        basis = np.kron(q_left if rotate_left else np.eye(m), q_right)
        vector = gradient.ravel()
        if step > 0:
            first = B1 * first + (1 - B1) * vector
            second = B2 * second + (1 - B2) * (basis.T @ vector) ** 2
            turned = (basis.T @ first) / (1 - B1**step)
            found.append((basis @ (turned / (np.sqrt(second / (1 - B2**step)) + EPS))).reshape(m, n))
        else:
            found.append(np.zeros((m, n)))
        left = B2 * left + (1 - B2) * gradient @ gradient.T
        right = B2 * right + (1 - B2) * gradient.T @ gradient
        if step == 0:
            q_left, q_right = np.linalg.eigh(left)[1], np.linalg.eigh(right)[1]
        elif step % every == 0:
            q_left, q_right = np.linalg.qr(left @ q_left)[0], np.linalg.qr(right @ q_right)[0]
    return found


@pytest.mark.parametrize("every", [1, 2, 5])
def test_steps_are_those_of_the_dense_equations(every):
    sequence = gradients(12, (3, 4))
    for step, reference in zip(ours(sequence, every=every), dense(sequence, every), strict=True):
        np.testing.assert_allclose(step, reference, rtol=1e-6, atol=1e-8)


def test_an_axis_that_is_too_long_is_not_rotated():
    sequence = gradients(6, (5, 4))
    reference = dense(sequence, every=2, rotate_left=False)
    for step, expected in zip(ours(sequence, every=2, largest=4), reference, strict=True):
        np.testing.assert_allclose(step, expected, rtol=1e-6, atol=1e-8)


def test_turning_the_coordinates_of_both_sides_turns_the_steps():
    """Adam does not have this: with G turned to U G V, every step is U N V."""
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (4, 3))
    sequence = gradients(8, (4, 3))
    straight, turned = ours(sequence), ours([u @ gradient @ v for gradient in sequence])
    for plain, other in zip(straight, turned, strict=True):
        np.testing.assert_allclose(other, u @ plain @ v, rtol=1e-6, atol=1e-8)


def test_a_gradient_that_stays_gives_orthogonal_steps():
    """In its own eigenbasis a gradient is diagonal, so that its steps are U Vᵀ of its singular vectors."""
    (gradient,) = gradients(1, (3, 3))
    u, _, v = np.linalg.svd(gradient)
    first, *others = ours([gradient] * 4)
    assert not first.any()
    for step in others:
        np.testing.assert_allclose(step, u @ v, atol=1e-4)
