"""Corpora as people have them, made into training data and batches."""
