"""The study's experiments by id: their settings, names and reported figures. Imports no torch."""
