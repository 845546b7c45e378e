"""From the vision tower's grid to the language model's tokens."""
