"""The sampler `auto`: many cheap candidates, ranked by what they are expected to add to the front."""
