"""From photographs to templates."""
