"""What keeps a home in order: doctor, garbage collection, export, debug runs."""
