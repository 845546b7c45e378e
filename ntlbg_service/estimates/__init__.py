"""Memory and time estimates from traces, cached by the source files that computed them."""
