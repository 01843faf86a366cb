"""Stress by design: shocks, stressed contexts, crises, rare events and views. Each file owns its section of a spec."""
