"""Export to files that run without this package, each checked against the network before it is kept."""
