"""Shared by tests and benchmarks."""
