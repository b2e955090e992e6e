"""Training encoders, verifiers over pairs of templates, and projections of templates."""
