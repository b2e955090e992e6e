"""How much an index must examine to reach a recall: measured after the build, with simulated probes."""
