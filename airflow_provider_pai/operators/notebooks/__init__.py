"""Runs of notebooks, on whichever service."""
