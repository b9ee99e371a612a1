"""The examples in the docstrings run, and every public function has one or is a class."""

import doctest
import importlib
import pkgutil

import pytest

import olivine.losses

MODULES = [f"olivine.losses.{module.name}" for module in pkgutil.iter_modules(olivine.losses.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0
