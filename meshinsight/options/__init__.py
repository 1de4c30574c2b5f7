"""Options that several commands have, each defined once, and how options are checked."""
