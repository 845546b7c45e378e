"""Made-up suites to plan: the parts of `benchmarks/planning.py`."""
