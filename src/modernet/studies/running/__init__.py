"""How the runs of a study are carried out: in turn, concurrently, or on a Ray cluster."""
