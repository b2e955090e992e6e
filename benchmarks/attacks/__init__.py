"""Attacks by somebody who knows onek: whole files that hold what onek never writes, and what is asked of them."""
