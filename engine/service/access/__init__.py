"""Who may ask, from where, how much and for how long."""
