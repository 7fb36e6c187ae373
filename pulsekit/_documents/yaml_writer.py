"""YAML for a reader: a value on several lines, with its members in their order."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

__all__ = ["yaml_text"]

# Keep the order of members. Do not fold texts, because the screen wraps them.
_STYLE = {"default_flow_style": False, "sort_base_mapping_type_on_output": False, "width": 100_000}


def yaml_text(value: Any) -> str:
    """Return a JSON value as YAML, without the last line break."""
    yaml = YAML(typ="safe", pure=True)
    for name, option in _STYLE.items():
        setattr(yaml, name, option)
    text = StringIO()
    yaml.dump(value, text)
    return text.getvalue().removesuffix("\n").removesuffix("\n...")
