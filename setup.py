"""The C kernel and the configs: all else that setuptools wants to know is in pyproject.toml."""

from setuptools import Extension, find_packages, setup

# What it takes to vectorise sums. -ffast-math would do more: link code that changes how the whole process rounds.
FLAGS = "-std=c11 -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math"

PARTS = "linear tiles spectrum decoder couplings subframe all_pole pitch whitened_past prediction waveform"

kernel = Extension(
    # A shared library for ctypes: neither Python's headers nor torch's are needed.
    "wavetts.runtime._kernel",
    sources=[f"wavetts/runtime/kernel/{part}.c" for part in PARTS.split()],
    depends=["wavetts/runtime/kernel/kernel.h"],
    libraries=["m"],
    extra_compile_args=FLAGS.split(),
    # Without a C compiler there is none, and the package speaks by torch alone.
    optional=True,
)
setup(
    ext_modules=[kernel],
    packages=[*find_packages(include=["wavetts*"]), "wavetts.config.recipes"],
    # What people edit in recipes/train is installed where `wavetts.config.catalog` looks for it.
    package_dir={"wavetts.config.recipes": "recipes/train"},
    package_data={"wavetts": ["voices/**/*", "demo/*.css", "demo/*.js"], "wavetts.config.recipes": ["*.yaml"]},
)
