"""What results over paths allow to say: skill beside null strategies, paired comparisons, generators side by side.

Owns the tests and their error rates. Knows numbers per path, and for the null strategies the paths themselves;
nothing of specs, files or reports.
"""
