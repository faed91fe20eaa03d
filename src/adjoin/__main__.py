"""`python -m adjoin` is the same as `adjoin`."""

from adjoin.cli.main import main

main()
