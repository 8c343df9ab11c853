"""Pictures to vectors: the encoder, what its file may hold, and what is known of it."""
