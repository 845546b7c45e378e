"""A lab whose queue is long: the parts of `benchmarks/control_plane.py`."""
