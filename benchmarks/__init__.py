"""Measurements; every figure is a ratio of two things run in turn in one call."""
