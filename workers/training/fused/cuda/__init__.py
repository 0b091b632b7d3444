"""The operation on a GPU, by triton."""
