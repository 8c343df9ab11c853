"""Ask a gallery who is on a picture, and where that person was: probes and questions, what they are
answered, and the log of who asked."""
