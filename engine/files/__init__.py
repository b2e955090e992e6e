"""Files and folders that others may share or have written: whole or not at all, never outside, never unasked."""
