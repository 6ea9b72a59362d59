"""Operators: one module or package a service; bases beside them."""
