"""What is done: proposing, training, measuring."""
