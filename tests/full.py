"""Whether property and fault tests run with their full numbers: `ADJOIN_FULL=1`."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = os.environ.get("ADJOIN_FULL") == "1"
