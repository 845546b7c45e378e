"""Staging: weights and data copied to each node of a run once, and verified before it trains."""
