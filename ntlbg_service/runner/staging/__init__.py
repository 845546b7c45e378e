"""Weights and data brought to each node of a run once, and checked, before its training begins."""
