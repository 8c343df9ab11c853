"""Single crops that are pushed, their bytes at hand: stored, or put aside until they can be."""
