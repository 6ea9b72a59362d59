"""Trials: what people did with the provider, and the right value each time.

One file a theme. A story is a few lines on the shortest way a user would take; its name says what the person did and
what came of it (`test_a_person_gives_one_pattern_where_many_are_meant`). It runs operators by `tests.task.Task`, and
hooks as they are, against the emulator through the real SDKs; there are no doubles. Details, tables and all other
inputs stand in the tests that mirror the package. `make trials` runs these alone; the suite runs them, too.
"""
