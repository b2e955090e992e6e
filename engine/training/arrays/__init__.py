"""Training on signals and volumes: their networks, and how their arrays are changed."""
