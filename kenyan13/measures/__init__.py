"""Measures of runs as pure functions of numbers: of losses, of predictions, and of how exact both are."""
