"""The autoencoder: trained on patches of good parts, in folds, and exported."""
