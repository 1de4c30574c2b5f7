"""What builds the documentation and its figures. Not part of the wheel."""
