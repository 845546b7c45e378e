"""Comparison of a suite's results: tables for the terminal and one HTML file."""
