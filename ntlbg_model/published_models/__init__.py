"""Published video models through their own transformers classes, for evaluation as they are."""
