"""How gallery images are put in order for a probe: arrays in, arrays out, no file touched."""
