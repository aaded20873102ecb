"""`python -m flowtally` is `flowtally`."""

import sys

from flowtally.cli.app import main

sys.exit(main())
