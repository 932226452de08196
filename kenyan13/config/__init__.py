"""What a person chooses: composed by Hydra, checked, named. Imports no torch."""
