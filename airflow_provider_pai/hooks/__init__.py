"""Hooks: one module or package a service; SDKs are imported only inside their methods."""
