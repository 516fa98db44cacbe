"""The ways to train the lanes of a case that are held against each other."""
