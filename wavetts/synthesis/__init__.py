"""Texts to waveforms: settings, voices by name, sentences spoken in batches, files written."""
