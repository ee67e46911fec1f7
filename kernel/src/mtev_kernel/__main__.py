"""`python -m mtev_kernel`: the same as the command `mtev-kernel`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
