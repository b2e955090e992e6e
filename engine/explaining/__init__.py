"""Pictures that say why: what of a probe makes a candidate, and what an encoder's channels look for."""
