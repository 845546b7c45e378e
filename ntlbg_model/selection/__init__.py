"""Which frame pairs of a video the language model sees."""
