"""Files: written atomically, cached, fetched over HTTP, fingerprinted."""
