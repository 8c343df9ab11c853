"""The work from the first crop to a search, as notebooks to read and to run."""
