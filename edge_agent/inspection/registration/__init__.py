"""Where the part lies in the image, and whether it lies as good parts do."""
