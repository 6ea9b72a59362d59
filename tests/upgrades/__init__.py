"""Records of every release, frozen: what outlives a process is read by each later version and means the same.

`make freeze` writes those of the current version; whoever releases it commits them and never changes them again.
"""
