"""A registry of container images, as far as a tag's digest goes."""
