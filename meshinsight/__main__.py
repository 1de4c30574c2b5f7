"""`python -m meshinsight` is the command `meshinsight`."""

from meshinsight.cli import main

main()
