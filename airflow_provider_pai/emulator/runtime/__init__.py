"""Processes and the folders they see."""
