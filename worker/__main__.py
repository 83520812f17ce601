"""`python -m worker` is `worker`."""

from worker.cli import main

main()
