"""Settings with which a training fits a GPU, and the memory that it will take."""
