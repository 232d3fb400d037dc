"""Single images: found, decoded, cropped."""
