"""Training a candidate: batches, augmentation, optimisation, learning curve."""
