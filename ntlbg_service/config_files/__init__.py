"""Strict readers of user-written files: JSON, suites, inventories, data sets."""
