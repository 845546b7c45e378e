"""The 2 M-parameter Qwen2-VL in this package: how it was made, and its weights."""
