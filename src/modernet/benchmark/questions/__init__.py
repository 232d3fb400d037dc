"""Questions answered by measuring: speed side by side, Table 12 of the ConvNeXt paper, traps."""
