"""The main path: `embed`, `build-index`, `identify` and `verify`."""
