"""Reads corpora and converts them to training data and batches."""
