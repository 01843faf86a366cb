"""Text to values: what a person wrote, read with every mistake named by its place. Knows nothing of markets."""
