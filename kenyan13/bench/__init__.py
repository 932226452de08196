"""What input, model and whole epochs take on this machine, and how the input compares with other libraries'."""
