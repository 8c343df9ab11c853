"""Remove people from a gallery, down to the bytes."""
