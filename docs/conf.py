"""The documentation site: `nox -s docs` builds it from these pages, the README, and pulsekit itself."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import typing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

# Annotations have names that modules import for type checkers only. With these names, autodoc can link them. The first
# import is for the packages that pulsekit uses, which would not work with this.
for typing.TYPE_CHECKING in (False, True):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pulsekit"]:
        del sys.modules[name]
    pulsekit = importlib.import_module("pulsekit")
    for module in pkgutil.walk_packages(pulsekit.__path__, "pulsekit."):
        if not re.search(r"\.(_|cli\b)", module.name):
            importlib.import_module(module.name)
typing.TYPE_CHECKING = False

project = "pulsekit"
author = "the authors of pulsekit"
version = release = pulsekit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_site", "performance", "pictures"]
nitpicky = True
smartquotes = False  # commands are also in plain text, with `--` and straight quotes
default_role = "literal"  # the docstrings have Markdown's single backquotes

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # a directive for an attribute would describe again what autodoc describes
# Annotations also have type variables, aliases, and classes of other packages, which have no page here.
nitpick_ignore_regex = [("py:.*", r".*")]

html_theme = "furo"
html_title = f"pulsekit {release}"
html_show_search_summary = False  # search would fetch the pages of the results, which a browser refuses on file://
html_copy_source = False
html_show_copyright = False
