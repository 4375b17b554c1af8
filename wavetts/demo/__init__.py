"""The page to try voices on (Gradio)."""
