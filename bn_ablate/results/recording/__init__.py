"""What a trained shard becomes: columns, rows and frames."""
