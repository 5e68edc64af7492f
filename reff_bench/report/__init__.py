"""From records to the paper: tables, claims, one page; figures in their own folder."""
