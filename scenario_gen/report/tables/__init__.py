"""One definition per subject of every table that the page, the terminal and a model card show."""
