"""What a gallery learns from its own images, and keeps current: transit times and scores, nearest
neighbours, and expanded vectors."""
