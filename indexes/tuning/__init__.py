"""The effort that a recall takes, found after the build."""
