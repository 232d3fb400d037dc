"""Single images: find, decode, crop and resize."""
