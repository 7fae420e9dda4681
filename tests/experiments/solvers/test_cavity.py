"""The lid-driven cavity against the literature, symmetry, and its own order of convergence."""

import numpy as np
import pytest

from experiments.files import load_arrays
from experiments.solvers import cavity
from experiments.solvers.__main__ import main


def relative_error(found, reference, names, inner=slice(None)):
    difference = sum(np.sum((found[name] - reference[name])[inner, inner] ** 2) for name in names)
    return np.sqrt(difference / sum(np.sum(reference[name][inner, inner] ** 2) for name in names))


def test_order_of_convergence_at_reynolds_100():
    coarse, middle, fine = (cavity.fields(cavity.solve(100, elements), 101) for elements in (12, 24, 48))
    inner = slice(10, -10)  # away from the singular corners

    def order(names):
        return np.log2(
            relative_error(coarse, fine, names, inner) / relative_error(middle, fine, names, inner)
        )

    assert 3.5 < order(["psi"]) < 5.0
    assert 2.6 < order(["u", "v"]) < 3.7


@pytest.mark.parametrize(("reynolds", "elements"), [(100.0, 32), (1000.0, 48)])
def test_extrema_agree_with_spectral_values_to_three_digits(reynolds, elements):
    found = cavity.extrema(cavity.solve(reynolds, elements))
    spectral = next(row for re, source, row in cavity.LITERATURE if re == reynolds and "Botella" in source)
    for name, (value, position) in spectral.items():
        assert found[name][0] == pytest.approx(value, rel=1e-3), name
        assert found[name][1] == pytest.approx(position, abs=1e-3), name


@pytest.mark.slow
def test_reference_mesh_agrees_with_spectral_values_to_four_digits():
    found = cavity.extrema(cavity.solve(1000.0))
    for name, (value, _) in cavity.LITERATURE[-1][2].items():
        assert found[name][0] == pytest.approx(value, abs=5e-5), name


def test_creeping_flow_is_symmetric_and_inertia_breaks_the_symmetry():
    slow = cavity.fields(cavity.solve(1e-6, 16), 33)
    np.testing.assert_allclose(slow["u"], slow["u"][::-1], atol=1e-6)
    np.testing.assert_allclose(slow["v"], -slow["v"][::-1], atol=1e-6)
    fast = cavity.extrema(cavity.solve(100, 16))
    assert -fast["v_min"][0] > 1.3 * fast["v_max"][0]  # the lid moves right: the stronger jet is there


def test_boundary_values_and_axes():
    flow = cavity.fields(cavity.solve(10, 8), 41)
    np.testing.assert_allclose(
        flow["u"][5:-5, -1], 1.0, atol=1e-12
    )  # [i, j] is at (x[i], y[j]): the lid is j = -1
    for wall in (
        flow["u"][0],
        flow["u"][-1],
        flow["u"][:, 0],
        flow["v"][:, -1],
        flow["v"][:, 0],
        flow["v"][0],
    ):
        np.testing.assert_allclose(wall, 0.0, atol=1e-12)
    assert flow["u"].shape == (41, 41) and flow["x"][0] == 0.0 and flow["y"][-1] == 1.0


def test_velocity_is_the_curl_of_psi():
    solution = cavity.solve(100, 16)
    step, at = 1e-5, np.array([0.31])
    after = cavity.evaluate(solution, at + step, np.array([0.7]))
    before = cavity.evaluate(solution, at - step, np.array([0.7]))
    here = cavity.evaluate(solution, at, np.array([0.7 - step, 0.7, 0.7 + step]))
    assert here["u"][0, 1] == pytest.approx((here["psi"][0, 2] - here["psi"][0, 0]) / (2 * step), rel=1e-6)
    assert here["v"][0, 1] == pytest.approx(
        -(after["psi"][0, 0] - before["psi"][0, 0]) / (2 * step), rel=1e-6
    )


def test_the_smooth_lid_has_the_printed_speed_and_the_walls_stay_still():
    flow = cavity.fields(cavity.solve(100, 32, "smooth"), 41)
    x = flow["x"]
    np.testing.assert_allclose(flow["u"][:, -1], 1 - np.cosh(50 * (x - 0.5)) / np.cosh(25), atol=2e-3)
    assert flow["u"][20, -1] == pytest.approx(1, abs=1e-9) and flow["u"][1, -1] < 0.75  # at x = 0.025
    for wall in (flow["u"][0], flow["u"][-1], flow["u"][:, 0], flow["v"][:, -1], flow["v"][0], flow["v"][-1]):
        np.testing.assert_allclose(wall, 0.0, atol=1e-12)


def test_order_of_convergence_with_the_smooth_lid():
    coarse, middle, fine = (
        cavity.fields(cavity.solve(100, elements, "smooth"), 101) for elements in (16, 32, 64)
    )
    inner, names = slice(10, -10), ["u", "v"]
    order = np.log2(relative_error(coarse, fine, names, inner) / relative_error(middle, fine, names, inner))
    assert 2.6 < order < 4.5
    assert relative_error(middle, fine, names) < 2e-3  # the lid's ends included


def test_the_smooth_lid_drags_less_and_both_lids_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    constant, smooth = (cavity.reference(100, 33, 16, lid)["psi"].min() for lid in cavity.LIDS)
    assert 0.8 * constant > smooth > constant  # ψ is negative: the vortex turns clockwise


@pytest.mark.parametrize("reynolds", [-1.0, 0.0, 1e6, float("nan"), float("inf")])
def test_refuses_absurd_reynolds_numbers(reynolds):
    with pytest.raises(ValueError, match="Reynolds number must be above 0"):
        cavity.solve(reynolds)


def test_reference_is_computed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RWF_CACHE", str(tmp_path))
    first = cavity.reference(10, resolution=17, elements=8)
    monkeypatch.setattr(cavity, "solve", lambda *_: pytest.fail("computed again"))
    again = cavity.reference(10, resolution=33, elements=8)
    np.testing.assert_array_equal(first["u"], again["u"][::2, ::2])


def test_command_writes_fields_and_prints_the_literature(tmp_path, capsys):
    output = tmp_path / "cavity.npz"
    arguments = ["--reynolds", "100", "--elements", "16", "--resolution", "21", "--output", str(output)]
    main(["cavity", *arguments])
    printed = capsys.readouterr().out
    assert "Ghia et al. 1982" in printed and "-0.21404" in printed
    arrays, _ = load_arrays(output)
    assert {name: array.shape for name, array in arrays.items()} == {
        "x": (21,),
        "y": (21,),
        "u": (21, 21),
        "v": (21, 21),
        "psi": (21, 21),
    }
