"""Batches of image, label, mask, annotated, group, index from three datasets."""
