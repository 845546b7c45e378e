"""The inner ring: pure functions and data. No clock, files, Ray, MLflow, SQL or click."""
