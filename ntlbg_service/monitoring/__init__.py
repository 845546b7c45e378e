"""Monitoring of a controller on one port: health, readiness, Prometheus metrics."""
