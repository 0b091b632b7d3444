"""From a trained candidate to files that run elsewhere, each verified against the network that was trained."""
