"""Hooks: one per service, SDKs imported only inside their methods."""
