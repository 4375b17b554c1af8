"""Energies: unnormalised densities, on top of an exact one or by themselves.

heads        scores s(y, c): a network of both, or a dot product f(y) . g(c)
objectives   noise contrastive estimation, score matching, contrastive divergence
langevin     steps of Langevin dynamics
importance   normalisers by importance sampling, effective sample sizes, resampling
tilt         the density q(y | c) exp s(y, c) / Z(c)
levels       levels of noise of a recovery likelihood, and its chain
annealing    normalisers by annealed importance sampling
recovery     diffusion recovery likelihood
"""
