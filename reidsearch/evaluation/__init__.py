"""How well people are found: the protocol over what is stored, and two evaluations compared."""
