"""What `memory_estimators.py` is made of."""
