"""Canary rollouts as pure rules: plan, analysis, weights and state machine; no Airflow, no I/O."""
