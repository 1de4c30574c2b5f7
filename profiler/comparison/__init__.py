"""What changed between profiles, by component, and whether limits hold. Pure but for `reading`."""
