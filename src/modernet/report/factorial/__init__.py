"""Records of factorial studies: summary, effects, tables, charts."""
