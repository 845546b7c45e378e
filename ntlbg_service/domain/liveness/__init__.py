"""How long a run may be silent, and how fast it goes."""
