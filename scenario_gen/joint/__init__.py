"""Several assets at once: paths of one number in every asset are one future, each asset's own law untouched."""
