"""Where a rollout's numbers come from."""
