"""AIWorkspace 2021-02-04: workspaces, code sources and images."""
