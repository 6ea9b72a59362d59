"""`make demo` and `make ui`: four nights on a real Airflow and the embedded PAI."""
