"""Rollouts carried out: driver, lease, record, takeover and history."""
