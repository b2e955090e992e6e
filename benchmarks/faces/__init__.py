"""Finding faces and their landmarks."""
