"""The template: what it says of itself, files of them, and what is known of those that an encoder makes."""
