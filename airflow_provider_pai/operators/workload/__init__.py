"""Workloads: jobs with code, inputs, mounts and an output, on DLC and DSW."""
