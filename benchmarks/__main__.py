"""`python -m benchmarks [PART…]`, or `python benchmarks`: see `benchmarks.run`."""

import sys
from pathlib import Path

# Last, so that an installed pulsekit is the one that is measured.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.run import main

sys.exit(main())
