"""What a grid can name: built in, installed, or the user's own."""
