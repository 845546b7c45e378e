"""Nodes and GPUs of a cluster, or of this machine: their inventory and their health."""
