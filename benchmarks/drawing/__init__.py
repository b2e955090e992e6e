"""The parts of a drawn picture: who, how it is taken, features, light, paint, surroundings."""
