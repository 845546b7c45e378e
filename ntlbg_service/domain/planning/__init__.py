"""A suite's runs fitted, placed and explained before anything starts."""
