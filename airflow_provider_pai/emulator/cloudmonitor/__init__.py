"""CloudMonitor 2019-01-01: the gateway's counters as metrics."""
