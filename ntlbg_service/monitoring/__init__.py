"""What a controller tells of itself on one port: health, readiness, Prometheus metrics."""
