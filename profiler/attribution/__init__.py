"""Turns probe readings into exclusive components. Pure arithmetic: no I/O, no root."""
