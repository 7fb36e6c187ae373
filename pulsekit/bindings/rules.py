"""The rules by which registrations expand into patterns."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Rule"]


class Rule(StrEnum):
    """How a destination and a project form a pattern. Treeherder has used each of these rules at some time.

    Attributes:
        DESTINATION_PROJECT: `<destination>.<project>`, since 2016-04 and in the documentation.
        PROJECT_DESTINATION: `<project>.<destination>`, of 2015.
        ANY_PROJECT: `#.<project>`, of 2018, without the destinations.
    """

    DESTINATION_PROJECT = "destination.project"
    PROJECT_DESTINATION = "project.destination"
    ANY_PROJECT = "any.project"
