from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

RECIPES = ROOT / "recipes" / "preprocess"
# For what recipes share; behind all packages, one of which has the name of a recipe.
sys.path.append(str(RECIPES))


@pytest.fixture(scope="session")
def load_recipe():
    """A recipe as a module, under a name that does not hide a package (one recipe is called piper)."""

    def load(name: str):
        spec = importlib.util.spec_from_file_location(f"recipe_{name}", RECIPES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_recipe():
    """Run a recipe as a user does."""

    def run(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(RECIPES / f"{name}.py"), *map(str, arguments)]
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
        return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def ljspeech() -> Path:
    """A few genuine clips in LJSpeech's layout."""
    return ROOT / "tests" / "data" / "ljspeech"
