"""The rules by which registrations expand into patterns."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Rule"]


class Rule(StrEnum):
    """How a destination and a project form a pattern. Treeherder has used each of these rules at some time.

    Attributes:
        DESTINATION_PROJECT: `<destination>.<project>`, since April 2016, as in Treeherder's documentation.
        PROJECT_DESTINATION: `<project>.<destination>`, used in 2015.
        ANY_PROJECT: `#.<project>`, used in 2018. Destinations are ignored.
    """

    DESTINATION_PROJECT = "destination.project"
    PROJECT_DESTINATION = "project.destination"
    ANY_PROJECT = "any.project"
