"""`python -m modernet`."""

import sys

from modernet.cli import main

if __name__ == "__main__":
    sys.exit(main())
