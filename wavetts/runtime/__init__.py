"""Faster engines for synthesis with a model, which is not changed: the C kernel, 8-bit weights."""
