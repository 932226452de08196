"""Metrics as pure functions of numbers: of losses, of predictions, and how exact both are."""
