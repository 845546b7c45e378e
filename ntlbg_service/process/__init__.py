"""This process: where its home is, who acts, what it may print, how it is woken."""
