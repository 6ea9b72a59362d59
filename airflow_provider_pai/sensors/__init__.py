"""Sensors: one module a service."""
