"""Diffusion as a density of frames.

schedule     how noise grows with time, fixed or learned
weighting    of the levels in a loss; levels drawn where the loss is large
prediction   noise, data and velocity, each from the others
denoiser     the networks
bound        terms of the variational bound
density      the density: bound, weighted loss, drawing, inpainting
samplers     from noise to data
likelihood   the density of the probability-flow ODE
guidance     contexts dropped in training, guided drawing
student      what distillation makes of one: few steps, no likelihood
coding       lossless coding by bits-back
"""
