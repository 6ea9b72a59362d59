"""Metrics sources: request counts, errors and latencies for a rollout's verdicts."""
