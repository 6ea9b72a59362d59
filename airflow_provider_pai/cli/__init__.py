"""Command line: `airflow pai …`."""
