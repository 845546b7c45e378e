"""Executors, which start and stop launches, behind one contract."""
