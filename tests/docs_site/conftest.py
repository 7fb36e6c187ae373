"""Tests of the built site: `nox -s docs_browser` names its folder in PULSEKIT_TEST_SITE. Other runs have no site."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "PULSEKIT_TEST_SITE" in os.environ else ["test_*.py"]
