"""A run outside of the tool: one ONNX graph from an image to probabilities, what runs it, and what is made of it."""
