"""Networks for long sequences: the Long Range Arena's and S4's, a file each."""
