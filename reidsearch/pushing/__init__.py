"""Single crops that are pushed, their bytes at hand: stored at once, or put aside until they can be."""
