"""The model as one module: base, connector, selector, checkpoints."""
