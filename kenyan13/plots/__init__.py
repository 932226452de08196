"""Figures as pure functions: numbers in, a matplotlib figure out. Nothing is read or written here."""
