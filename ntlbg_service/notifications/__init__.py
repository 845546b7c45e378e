"""Webhooks: what becomes of runs, delivered at least once."""
