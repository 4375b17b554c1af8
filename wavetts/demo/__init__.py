"""The demo: a Gradio page on which to try voices."""
