"""The objects of a run, planned and rendered from the templates of manifests/."""
