"""What several files need is an ordinary module beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
