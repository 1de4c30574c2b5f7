"""The command line and the reports: what a user of MeshInsight types and reads."""

__version__ = "0.1.0"
