"""Elastic Algorithm Service 2021-07-01: services as processes behind a gateway."""
