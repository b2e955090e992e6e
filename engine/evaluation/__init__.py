"""How well identification did, where the truth is known: searches kept raw, and the rates, intervals and groups made of them."""
