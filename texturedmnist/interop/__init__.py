"""Other people's interfaces to a dataset, and its export to their formats."""
