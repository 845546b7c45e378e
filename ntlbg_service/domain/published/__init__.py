"""Files in the published layout, converted key by key into ours. Pure."""
