"""From a template to the nearest identities and their scores."""
