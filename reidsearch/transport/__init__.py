"""A gallery in another place: moved there, or written to one file and made again from it."""
