"""Helpers that know nothing of recognition; import the module that is meant."""
