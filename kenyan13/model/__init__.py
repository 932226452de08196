"""Networks: backbones, freezing, optimisation, and the classifier that trains."""
