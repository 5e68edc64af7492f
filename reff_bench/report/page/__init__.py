"""One self-contained page on a folder of runs."""
