"""How well selections serve a reader: the parts of `benchmarks/selection_quality.py`."""
