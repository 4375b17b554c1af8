"""The network: text encoder, attention decoder, frame density, and the file that holds it."""
