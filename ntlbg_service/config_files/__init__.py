"""Files that people write, read strictly: JSON, suites, inventories, data sets."""
