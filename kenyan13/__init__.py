"""kenyan13: fine-tune ImageNet models on a small, unbalanced set of photographs, with one machine."""

import os

# Threads that have nothing to do wait asleep. By default they spin, and take the cores from loader processes and from
# other runs on the machine, which can make both many times slower. OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
