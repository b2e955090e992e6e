"""From an image file to a face brought to an encoder's chip."""
