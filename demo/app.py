"""The demo as Hugging Face Spaces start it; `wavetts demo` serves the same page with options."""

import os

from wavetts.demo.actions import Actions
from wavetts.demo.launch import launch

if __name__ == "__main__":
    launch(Actions(), host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
