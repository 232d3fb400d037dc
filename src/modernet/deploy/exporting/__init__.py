"""Files that run without this package, checked before they are kept."""
