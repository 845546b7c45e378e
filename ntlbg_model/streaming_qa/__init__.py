"""Questions about a video file of any length, read as a stream."""
