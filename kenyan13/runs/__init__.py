"""The run directory: training writes it, all else reads it, through this package. Imports no torch."""
