"""Search as a user meets it: whether decisions are those of an exhaustive search, what a build announces, peers beside it."""
