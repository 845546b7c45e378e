"""Sizes and positions of what a model sees and adds, without torch."""
