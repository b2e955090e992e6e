"""Galleries over HTTP: who may ask, what is answered, and the page of a door."""
