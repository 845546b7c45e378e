"""The nodes and GPUs of a cluster, or of this machine: what they are, and what they say."""
