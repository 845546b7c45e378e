"""Maintenance of a home: doctor, garbage collection, export, debug runs."""
