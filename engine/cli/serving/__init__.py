"""The commands of the service: `serve`, and `token`."""
