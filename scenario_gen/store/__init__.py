"""What a run leaves behind: result values, the run folder, and the labels that follow from the numbers."""
