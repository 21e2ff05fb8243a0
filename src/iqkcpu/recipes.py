"""Recipes: which tensor of a model gets which type."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._types import Type, can_quantize

_RULE = re.compile(r"(?P<pattern>.+?)=(?P<type>\s*\w+\s*)(?:,|$)")


@dataclass(frozen=True)
class Rule:
    """Tensors in whose names the pattern is found get the type."""

    pattern: re.Pattern[str]
    type: Type

    def __str__(self) -> str:
        return f"{self.pattern.pattern}={self.type.name}"


def target_type(name: str) -> Type:
    """Return the type of a name in upper or lower case, for weights to be quantized to.

    Raises:
        ValueError: there is none, or none with a quantizer.
    """
    t = Type(name.strip().upper())
    if not can_quantize(t):
        raise ValueError(f"there is no quantizer for {t.name}; `iqkcpu types` tells for which types there is")
    return t


def parse_rules(text: str) -> list[Rule]:
    """Return the rules of "REGEX=TYPE,REGEX=TYPE": a comma that does not follow a type belongs to the regex.

    Raises:
        ValueError: no such rules, no regular expression, or no type.
    """
    rules, at = [], 0
    while at < len(text):
        found = _RULE.match(text, at)
        if found is None:
            raise ValueError(f"{text[at:]!r} is no rule of the form REGEX=TYPE")
        rules.append(_rule(found["pattern"].strip(), found["type"]))
        at = found.end()
    return rules


def read_recipe(path: str | os.PathLike[str]) -> list[Rule]:
    """Return the rules of a file: one REGEX=TYPE per line; empty lines and those that begin with # are passed over.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no rule; the message has its number.
    """
    rules = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        pattern, equals, name = text.rpartition("=")
        if not text:
            continue
        try:
            if not pattern or not equals:
                raise ValueError(f"{text!r} is no rule of the form REGEX=TYPE")
            rules.append(_rule(pattern.strip(), name))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return rules


def first_match(rules: Sequence[Rule], name: str) -> Rule | None:
    """Return the first rule whose pattern is found in a tensor's name."""
    return next((rule for rule in rules if rule.pattern.search(name)), None)


def _rule(pattern: str, name: str) -> Rule:
    try:
        return Rule(re.compile(pattern), target_type(name))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
