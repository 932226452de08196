"""kenyan13: fine-tune ImageNet models on a small, unbalanced set of photographs, with one machine."""
