"""Ledgers with tens of thousands of ended runs: the parts of `benchmarks/large_ledger.py`."""
