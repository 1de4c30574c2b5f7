"""Titles of the sections that options have in help, in their order."""

from typing import Final

ARGUMENTS: Final = "Arguments"
TARGET: Final = "What to attach to"
MEASURE: Final = "What to measure"
COMPARISON: Final = "What to compare"
LIMITS: Final = "Limits"
CHANGES: Final = "Changes"
SOURCE: Final = "What to read"
PREDICTION: Final = "How to predict"
WHAT_IF: Final = "What if"
PRICES: Final = "Prices"
TIME: Final = "How long"
RUN: Final = "How to run"
CLUSTER: Final = "Where (cluster)"
OUTPUT: Final = "Output"
OTHER: Final = "Other options"
COMMON: Final = "Options of every command"

PANELS: Final = (
    ARGUMENTS, TARGET, MEASURE, LIMITS, COMPARISON, CHANGES, SOURCE, PREDICTION, WHAT_IF, PRICES, TIME, RUN, CLUSTER,
    OUTPUT, OTHER, COMMON,
)  # fmt: skip
