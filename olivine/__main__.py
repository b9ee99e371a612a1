"""`python -m olivine`: the command line."""

from olivine.cli import main

main()
