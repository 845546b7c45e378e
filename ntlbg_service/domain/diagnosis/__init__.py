"""What readings of a deployment mean, check by check: how it is, and what to do about it. Pure."""
