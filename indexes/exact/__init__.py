"""Search that looks at every vector, and bounds that spare it most of them."""
