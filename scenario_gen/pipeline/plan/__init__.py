"""What a run will take, said before it begins or after its first block."""
