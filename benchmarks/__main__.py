"""`python -m benchmarks [PART…]`, or `python benchmarks`: see `benchmarks.run`."""

import sys
from pathlib import Path

# At the end of the path, so that an installed pulsekit is measured and not the checkout.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.run import main

sys.exit(main())
