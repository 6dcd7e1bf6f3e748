"""All good parts in the reference image's frame."""
