"""A picture's way from a file to pixels."""
