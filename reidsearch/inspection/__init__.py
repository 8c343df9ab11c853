"""What is there, and whether it is whole: status, encoders, explorations, checkups."""
