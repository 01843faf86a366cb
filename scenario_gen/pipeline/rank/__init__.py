"""From many histories to a ranking, what it is worth, and a portfolio of its top names."""
