"""A run: compose, fit, record; and what is done with a finished run directory."""
