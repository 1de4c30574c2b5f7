"""The commands of the containers of a run, one file each."""
