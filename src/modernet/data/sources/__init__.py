"""Where examples come from: one reader per format, each giving images, labels and the splits that exist."""
