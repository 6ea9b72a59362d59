"""AIWorkspace 2021-02-04: workspaces and code sources."""
