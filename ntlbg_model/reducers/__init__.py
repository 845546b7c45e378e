"""What published models make of a vision grid, on the shared backbone."""
