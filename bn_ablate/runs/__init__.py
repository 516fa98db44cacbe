"""A study from its plan to its results, as calls: a run, some of it once more, a lane alone."""
