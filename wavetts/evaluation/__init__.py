"""Measuring models and other systems on the same sentences."""
