"""From records to the paper's figures, and further ones."""
