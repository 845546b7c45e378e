"""Facilities of this process: home, acting user, redacted output, file modes, wake-up."""
