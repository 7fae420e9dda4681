"""Darcy flow against manufactured solutions, a Fourier series, a jump, and finite elements."""

import numpy as np
import pytest
import skfem
from skfem.helpers import dot, grad

from experiments.files import load_arrays
from experiments.solvers import darcy
from experiments.solvers.__main__ import main


def manufactured_error(points: int) -> float:
    """Error for u = sin(πx) sin(2πy) e^x with a = exp(sin(2x) + x y), by its own right-hand side."""
    x, y = np.meshgrid(np.linspace(0, 1, points), np.linspace(0, 1, points), indexing="ij")
    a = np.exp(np.sin(2 * x) + x * y)
    a_x, a_y = a * (2 * np.cos(2 * x) + y), a * x
    pi, wave = np.pi, np.sin(2 * np.pi * y)
    u = np.sin(pi * x) * wave * np.exp(x)
    u_x = (np.sin(pi * x) + pi * np.cos(pi * x)) * wave * np.exp(x)
    u_y = 2 * pi * np.sin(pi * x) * np.cos(2 * pi * y) * np.exp(x)
    laplacian = ((1 - pi**2) * np.sin(pi * x) + 2 * pi * np.cos(pi * x)) * wave * np.exp(x) - 4 * pi**2 * u
    source = -(a_x * u_x + a_y * u_y + a * laplacian)
    return np.abs(darcy.solve(a[None], source)[0] - u).max()


def test_manufactured_solution_and_second_order():
    errors = [manufactured_error(points) for points in (17, 33, 65)]
    assert errors[-1] < 4e-3
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 1.85) & (orders < 2.2)), (errors, orders)


def test_unit_coefficient_is_the_torsion_of_a_square():
    centre = darcy.solve(np.ones((1, 65, 65)))[0, 32, 32]
    odd = np.arange(1, 200, 2)
    sign = (-1.0) ** ((odd - 1) // 2)
    exact = 1 / 8 - 4 / np.pi**3 * np.sum(sign / (odd**3 * np.cosh(odd * np.pi / 2)))
    assert centre == pytest.approx(exact, rel=3e-4)


def test_solution_scales_inversely_with_the_coefficient():
    a = darcy.coefficients(2, 0, "test", points=16)
    np.testing.assert_allclose(darcy.solve(3.0 * a), darcy.solve(a) / 3.0, rtol=1e-10)


def test_transposed_coefficient_gives_transposed_solution():
    a = darcy.coefficients(2, 0, "test", points=16)
    np.testing.assert_allclose(darcy.solve(a.swapaxes(1, 2)), darcy.solve(a).swapaxes(1, 2), rtol=1e-10)


def quadratic_elements(coefficient: np.ndarray) -> np.ndarray:
    """u at the nodes of `coefficient` by biquadratic elements with the bilinear interpolant of log a."""
    points = len(coefficient)
    axis = np.linspace(0, 1, points)
    mesh = skfem.MeshQuad.init_tensor(axis, axis)
    basis = skfem.Basis(mesh, skfem.ElementQuad2())
    nodal = basis.with_element(skfem.ElementQuad1())
    index = np.rint(mesh.p * (points - 1)).astype(int)
    log_a = np.zeros(nodal.N)
    log_a[nodal.nodal_dofs[0]] = np.log(coefficient)[index[0], index[1]]
    stiffness = skfem.BilinearForm(lambda u, v, w: np.exp(w.z) * dot(grad(u), grad(v))).assemble(
        basis, z=nodal.interpolate(log_a)
    )
    load = skfem.LinearForm(lambda v, w: 1.0 * v).assemble(basis)
    solution = skfem.solve(*skfem.condense(stiffness, load, D=basis.get_dofs()))
    result = np.empty((points, points))
    result[index[0], index[1]] = solution[basis.nodal_dofs[0]]
    return result


@pytest.mark.parametrize("law", darcy.LAWS)
def test_random_coefficients_agree_with_finite_elements(law):
    data = darcy.generate(2, seed=1, length_scale=darcy.length_scale_of(law))
    for a, u in zip(data["coefficient"], data["u"], strict=True):
        exact = quadratic_elements(a)
        assert np.linalg.norm(u - exact) < 2e-3 * np.linalg.norm(exact)


def jump_error(mean) -> float:
    """Relative error where a jumps from 1 to 100 at x = 1/2, against elements whose edges lie on the jump."""
    axis = np.linspace(0, 1, 40)  # x = 1/2 is a face between two nodes
    a = np.where(axis < 0.5, 1.0, 100.0)[None, :, None] * np.ones((1, 1, 40))
    basis = skfem.Basis(skfem.MeshQuad.init_tensor(*[np.linspace(0, 1, 41)] * 2), skfem.ElementQuad2())
    stiffness = skfem.BilinearForm(
        lambda u, v, w: np.where(w.x[0] < 0.5, 1.0, 100.0) * dot(grad(u), grad(v))
    ).assemble(basis)
    load = skfem.LinearForm(lambda v, w: 1.0 * v).assemble(basis)
    solution = skfem.solve(*skfem.condense(stiffness, load, D=basis.get_dofs()))
    inner = np.stack(np.meshgrid(axis[1:-1], axis[1:-1], indexing="ij")).reshape(2, -1)
    exact = (basis.probes(inner) @ solution).reshape(38, 38)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(darcy, "harmonic_mean", mean)
        found = darcy.solve(a)[0, 1:-1, 1:-1]
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


def test_harmonic_mean_keeps_the_accuracy_at_a_jump():
    assert jump_error(darcy.harmonic_mean) < 1e-2
    assert jump_error(lambda first, second: 0.5 * (first + second)) > 2e-2


def test_laws_shapes_and_boundary_values():
    data = darcy.generate(3)
    assert data["u"].shape == data["coefficient"].shape == (3, 64, 64)
    edges = [data["u"][:, 0], data["u"][:, -1], data["u"][:, :, 0], data["u"][:, :, -1]]
    assert not np.any(edges) and (data["u"][:, 1:-1, 1:-1] > 0).all()
    assert [round(scale, 3) for scale in darcy.LAWS.values()] == [0.316, 0.5, 0.607]
    assert not np.any(darcy.coefficients(1, 0, "train") == darcy.coefficients(1, 0, "test"))


def test_log_of_the_coefficient_is_a_standard_field():
    log_a = np.log(darcy.coefficients(2000, 0, "test", points=5))
    np.testing.assert_allclose(log_a.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(log_a.std(axis=0), 1.0, atol=0.07)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"not \(64, 64\)"):
        darcy.solve(np.ones((64, 64)))
    with pytest.raises(ValueError, match=r"not \(1, 64, 63\)"):
        darcy.solve(np.ones((1, 64, 63)))
    with pytest.raises(ValueError, match="positive"):
        darcy.solve(np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="unknown coefficient law 'x'"):
        darcy.length_scale_of("x")


def test_command_writes_the_documented_arrays(tmp_path):
    main(["darcy", "--functions", "2", "--law", "minus", "--output", str(tmp_path / "darcy.npz")])
    arrays, _ = load_arrays(tmp_path / "darcy.npz")
    np.testing.assert_array_equal(arrays["u"], darcy.generate(2, length_scale=0.5)["u"])
    assert set(arrays) == {"x", "y", "coefficient", "u"}
