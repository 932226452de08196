"""Plots as pure functions: numbers in, a matplotlib figure out; only save_plot writes files."""
