"""Everything a team needs to get its jobs onto Treeherder over Mozilla Pulse."""

__version__ = "0.1.0"
