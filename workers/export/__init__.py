"""From a trained candidate to files that run elsewhere, each verified against the trained network."""
