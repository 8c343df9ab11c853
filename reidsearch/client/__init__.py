"""The way to a service from afar: a gallery that is asked over HTTP, with the same verbs."""
