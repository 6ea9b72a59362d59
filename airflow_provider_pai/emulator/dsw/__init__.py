"""Data Science Workshop 2022-01-01: instances that run their on-start command."""
