"""Stories without a run: paths or a history that the user gives are checked, traded and forecast."""
