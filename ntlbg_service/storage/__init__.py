"""Storage of results: write-once objects in a folder that every node mounts."""
