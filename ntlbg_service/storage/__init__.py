"""Where results live: write-once objects in a folder that every node sees."""
