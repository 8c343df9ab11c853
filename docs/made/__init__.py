"""What the documentation makes from the code each time it is built: nothing of it is kept."""
