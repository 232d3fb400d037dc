"""Files: written whole or not at all, cached, fetched over HTTP."""
