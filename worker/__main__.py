"""`python -m worker` is `worker`."""

from worker.cli.main import main

main()
