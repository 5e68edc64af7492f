"""What runs leave behind: written by each, read once for all that is shown of them."""
