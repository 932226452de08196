"""What any user does with finished runs: compare, ensemble, two stages. Imports no torch."""
