"""Benchmarks on disk: records, readers, rendering and decoding. Imports nothing by itself."""
