"""How a format looks: one file per format."""
