"""The process that stands for one service of an application."""
