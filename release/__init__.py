"""A release before it is one: what the wheel holds, and what it does beside each Airflow."""
