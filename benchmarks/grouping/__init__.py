"""Groups of unnamed faces: how right they are, beside other methods, and what they cost."""
