"""Maximum-likelihood training: loop, objective, optimiser, held-out figures, states to resume from."""
