"""The engines of the local stack, one module each, in the order of the data path."""
