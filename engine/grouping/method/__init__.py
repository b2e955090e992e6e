"""How faces are grouped: where templates are compared, how groups are merged, how many are wrong, where to cut."""
