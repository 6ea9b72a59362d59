"""Triggers, and the polling they share."""
