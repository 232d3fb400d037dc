"""How a network lies on its devices: precision, compilation, copies or shards of the weights."""
