"""Records of `modernet benchmark`: summary, tables, charts, CSV."""
