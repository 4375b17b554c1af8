"""Text front end: raw text to normalised text, phonemes and tokens."""
