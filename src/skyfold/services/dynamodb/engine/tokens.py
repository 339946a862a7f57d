"""Expression texts cut into tokens, with the syntax errors that DynamoDB reports."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from skyfold.services.dynamodb.engine.reserved import RESERVED
from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.limits import EXPRESSION_BYTES_MAX

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<alias>\#[A-Za-z0-9_]+)
    | (?P<value>:[A-Za-z0-9_]+)
    | (?P<number>[0-9]+)
    | (?P<sign><>|<=|>=|[=<>(),.\[\]+\-])
    | (?P<bad>\S)
    )""",
    re.VERBOSE | re.ASCII,
)

Path = tuple[str | int, ...]
"""A document path with its aliases resolved: names and list indexes."""


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


def tokens_of(text: str) -> list[Token]:
    """The tokens of ``text``, without an end marker."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "bad"
        found.append(Token(kind, match[kind], match.start(kind), match.end(kind)))
    return found


class Reader:
    """Walks the tokens of one expression; ``what`` is its parameter's name, for errors."""

    def __init__(
        self, what: str, text: str, names: Mapping[str, str], values: Collection[str] = ()
    ) -> None:
        self.what, self.text, self.names, self.values = what, text, names, values
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > EXPRESSION_BYTES_MAX:
            raise self.error(
                f"Expression size has exceeded the maximum allowed size; expression size: {size}"
            )
        self.tokens = tokens_of(text)
        if not self.tokens:
            raise self.error("The expression can not be empty;")
        self.tokens.append(Token("end", "<EOF>", len(text), len(text)))
        self.at = 0
        self.names_used: set[str] = set()
        self.values_used: set[str] = set()
        self.reserved = ""

    def error(self, problem: str) -> ValidationException:
        return ValidationException(f"Invalid {self.what}: {problem}")

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def unexpected(self, at: int | None = None) -> ValidationException:
        """The syntax error at a token: it, and the text from the one before to the one after."""
        at = self.at if at is None else at
        bad = self.tokens[at]
        first = self.tokens[max(0, at - 1)].start
        last = self.tokens[min(at + 1, len(self.tokens) - 1)]
        end = bad.end if last.kind == "end" else last.end
        near = self.text[first:end].rstrip()
        return self.error(f'Syntax error; token: "{bad.text}", near: "{near}"')

    def next(self) -> Token:
        token = self.token
        self.at += 1
        return token

    def take(self, sign: str) -> bool:
        """Step over ``sign`` if it comes next."""
        token = self.token
        if token.kind == "sign" and token.text == sign:
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise self.unexpected()

    def take_keyword(self, word: str) -> bool:
        if self.token.keyword == word:
            self.at += 1
            return True
        return False

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.unexpected()

    def value(self) -> str:
        """The ``:name`` that comes next."""
        if self.token.kind != "value":
            raise self.unexpected()
        return self.next().text

    def defined(self, name: str) -> str:
        """The same ``:name``, once it is known that the request gives a value for it."""
        if name not in self.values:
            raise self.error(
                "An expression attribute value used in expression is not defined; "
                f"attribute value: {name}"
            )
        self.values_used.add(name)
        return name

    def path(self) -> Path:
        """The document path that comes next, its aliases not yet resolved."""
        parts: list[str | int] = [self._element()]
        while True:
            if self.take("."):
                parts.append(self._element())
            elif self.take("["):
                if self.token.kind != "number":
                    raise self.unexpected()
                parts.append(int(self.next().text))
                self.expect("]")
            else:
                return tuple(parts)

    def _element(self) -> str:
        token = self.token
        if token.kind == "word":
            if not self.reserved and token.text.upper() in RESERVED:
                self.reserved = token.text
        elif token.kind != "alias":
            raise self.unexpected()
        self.at += 1
        return token.text

    def check_reserved(self) -> None:
        if self.reserved:
            raise self.error(
                "Attribute name is a reserved keyword; reserved keyword: " + self.reserved
            )

    def resolved(self, path: Path) -> Path:
        """``path`` with its aliases replaced by the names they stand for."""
        return tuple(self._name(part) if isinstance(part, str) else part for part in path)

    def _name(self, part: str) -> str:
        if part[0] != "#":
            return part
        if part not in self.names:
            raise self.error(
                "An expression attribute name used in the document path is not defined; "
                f"attribute name: {part}"
            )
        self.names_used.add(part)
        return self.names[part]


def path_text(path: Path) -> str:
    """``[a, [0], b]``, as error messages show paths."""
    return "[" + ", ".join(f"[{p}]" if isinstance(p, int) else p for p in path) + "]"
