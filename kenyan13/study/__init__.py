"""What is made of runs: their listing beside the study's reported figures."""
