"""Training on photographs: how their chips are changed."""
