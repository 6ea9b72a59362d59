"""Stories of what each operator does, by an access key that may do just so much; docs/permissions.md from them.

`python -m tests.permissions` writes the page anew.
"""
