"""TensorBoards of DLC 2020-12-03: processes that serve a log folder over HTTP."""
