"""Batches of prompts: candidates, points and collation."""
