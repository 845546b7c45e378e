"""Qwen2-VL with true times: prompts, positions, vision features, answers."""
