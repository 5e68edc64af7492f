"""The pseudo-annotator: pix2pix, trained on the annotated images [paper].

A U-Net learns to draw the masks of the few annotated images, with an L1 distance and a
discriminator that judges patches, and then draws those of all others.
"""
