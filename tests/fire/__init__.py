"""Every path of the provider, every call that it makes, and every fault that the call can meet.

`benchmarks/faults.py` plays them by the thousand; the tests play a seeded sample.
"""
