"""Peak memory of a step from its shapes alone. Imports torch and transformers."""
