"""One checkpoint, ours or the user's: what it scores, and its maps for the figures."""
