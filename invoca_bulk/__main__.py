"""`python -m invoca_bulk` is `invoca-bulk`."""

from invoca_bulk.cli import main

main()
