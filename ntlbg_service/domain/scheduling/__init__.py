"""Who runs next, where and when."""
