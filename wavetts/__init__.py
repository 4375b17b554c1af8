"""Wave-Tacotron: text to waveform in one network, trained by maximum likelihood alone.

Importing the package is cheap: torch and everything heavy are imported by the modules that use them.
"""

__version__ = "0.1.0"
