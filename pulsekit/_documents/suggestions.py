"""Parts of messages: values in short form, numbers with nouns, and suggestions for misspelt words.

All results have a limited length, because a value may have megabytes, a thousand levels and ten thousand errors.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Guesses", "brief", "counted", "described", "either", "how_to_match"]

_SURROGATE = r"[\ud800-\udfff]"  # compiled when a text needs it: 1 % of a start
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=repr)
_NOT_IN_WORDS = re.compile(r"[\W_]+")


def brief(value: Any, limit: int = 80) -> str:
    """Return a value as JSON, truncated to `limit` characters."""
    if isinstance(value, str):
        value = value[: limit + 1]
    text = ""
    # iterencode stops at the limit, but takes longer to start. So `encode` is used for plain values, which saves a
    # sixth of the time of an invalid job.
    is_plain = isinstance(value, str | int | float)
    for part in [_ENCODER.encode(value)] if is_plain else _ENCODER.iterencode(value):
        text += part
        if len(text) > limit:
            text = text[: limit - 1] + "…"
            break
    return text if text.isascii() else re.sub(_SURROGATE, lambda match: f"\\u{ord(match[0]):04x}", text)


def described(value: Any) -> str:
    """Describe a value: its type, and for a string also its text, as in `the string "1"` or `a list`."""
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return f"the string {brief(value)}"
    return brief(value)


def either(words: Sequence[str], limit: int = 20) -> str:
    """Join alternatives: `a, b or c`. If there are more than `limit`, end with the number of the others."""
    if not words:
        return "nothing"
    if len(words) > limit:
        return f"{', '.join(words[:limit])} or one of {len(words) - limit} more"
    return " or ".join((*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]))


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: `1 item`, `2,000 items`."""
    plural = {"property": "properties"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"


def how_to_match(pattern: str, text: str) -> str:
    """Return how to change a text so that it matches a pattern, or an empty text."""
    if re.search(pattern, text.strip()):
        return "remove the space or line break around it"
    if re.search(pattern, text.lower()):
        return "write it in lower case"
    characters = dict.fromkeys(text[:1000])
    refused = [character for character in characters if not re.search(pattern, character)]
    if refused and re.search(pattern, "".join(character for character in text if character not in refused)):
        return f"it cannot have {either([brief(character) for character in refused], limit=5)}"
    return ""


class Guesses:
    """A source of guesses for misspelt words. Their number is limited, because a guess takes up to a millisecond."""

    def __init__(self, limit: int = 100) -> None:
        self._left = limit

    def nearest(self, word: Any, choices: Iterable[Any]) -> str | None:
        """Return the choice that is most similar to the word, or None if no choice is similar."""
        if not isinstance(word, str) or len(word) > 100 or self._left == 0:
            return None
        from difflib import get_close_matches  # imported late: rarely needed

        self._left -= 1
        words = [choice for choice in choices if isinstance(choice, str) and len(choice) <= 100][:1000]
        bare = {_bare(choice): choice for choice in reversed(words)}
        found = get_close_matches(_bare(word), bare, n=1, cutoff=0.7)
        return bare[found[0]] if found else None


def _bare(word: str) -> str:
    return _NOT_IN_WORDS.sub("", word).lower()
