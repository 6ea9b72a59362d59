"""`airflow pai …`: what operators of an Airflow deployment need from the shell."""
