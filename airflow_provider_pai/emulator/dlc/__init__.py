"""Deep Learning Containers 2020-12-03: jobs as processes, one per pod."""
