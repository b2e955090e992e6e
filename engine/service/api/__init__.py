"""The routes of /v1: what comes in is checked, the library is called, and what goes out is described."""
