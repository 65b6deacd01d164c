"""`python -m flagent` is the program `flagent`."""

from .cli import main

main()
