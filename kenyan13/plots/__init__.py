"""Plots as pure functions: numbers in, a matplotlib figure out; only saving.py writes files."""
