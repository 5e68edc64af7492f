"""The outcomes that the paper states, each with a verdict."""
