"""Webhook notifications of run and suite states, delivered at least once."""
