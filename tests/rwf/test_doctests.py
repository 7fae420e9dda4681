"""The examples in docstrings are right."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import rwf

MODULES = ["rwf", *(module.name for module in pkgutil.walk_packages(rwf.__path__, "rwf."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    names = {"jax": jax, "jnp": jnp, "nnx": nnx, **vars(rwf), **vars(module)}
    results = doctest.testmod(module, extraglobs=names)
    assert results.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 10
