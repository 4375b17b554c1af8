"""Engines that speak a checkpoint faster than the model itself, and never change it."""
