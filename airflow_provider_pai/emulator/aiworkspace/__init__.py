"""AIWorkspace 2021-02-04: code sources."""
