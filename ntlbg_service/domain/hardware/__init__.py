"""GPUs and nodes: what there is, what it can do, what is wrong with it."""
