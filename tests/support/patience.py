"""How long tests wait for what must come true: long enough for a machine whose cores are taken.

It ends a test that hangs, and says nothing of how fast anything is.
"""

PATIENCE = 1500.0
"""Seconds; less than pytest's own limit on a test."""
