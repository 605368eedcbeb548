"""What a pattern alone cannot tell: checksums, and values that are none.

A check takes a match and tells how many characters of its value are what the rule describes; 0 for none.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CHECKS",
    "assigned",
    "card",
    "email",
    "iban",
    "ip_address",
    "is_placeholder",
    "option",
    "phone",
    "value_of_member",
]

_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FO", "FI", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "XK", "LT", "LU"), 20),
    **dict.fromkeys(("CR", "HR", "LV", "LI", "CH"), 21),
    **dict.fromkeys(("BH", "BG", "GE", "DE", "IE", "ME", "RS", "GB", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL", "OM", "SO"), 23),
    **dict.fromkeys(("AD", "CZ", "MD", "PK", "RO", "SA", "SK", "ES", "SE", "TN", "VG"), 24),
    **dict.fromkeys(("PT", "ST", "LY"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM", "DJ"), 27),
    **dict.fromkeys(("AL", "AZ", "CY", "DO", "SV", "GT", "HU", "LB", "NI", "PL", "BY"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    "LC": 32,
    "RU": 33,
}
"""ISO 13616: how long the IBAN of a country is, as SWIFT's registry has it."""

_EMPTY_WORDS = frozenset(
    (
        "null",
        "none",
        "nil",
        "true",
        "false",
        "undefined",
        "string",
        "str",
        "text",
        "int",
        "number",
        "bool",
        "boolean",
        "bytes",
        "any",
        "object",
        "optional",
        "required",
        "value",
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "redacted",
        "hidden",
        "masked",
        "example",
        "changeme",
        "your_password",
    )
)
_STANDS_FOR = re.compile(r"[$%<{(]|\*{3}|\.{3}|x{4,}|\[redacted:|process\.env|os\.environ|env\.", re.IGNORECASE)
_NAME_OF_ANOTHER = re.compile(r"[A-Za-z_][\w]{0,60}(?:(?:\.|::|->)[A-Za-z_]\w{0,60}){1,8}")
_SECRET_WORD = re.compile(r"pass|pwd|secret|token|key|cred", re.IGNORECASE)
_OPTION = re.compile(r"(?:^|[^\w-])(?:-|--\w[\w-]{0,36})?$")
"""What stands before the last hyphen of an option's name."""
_SIGN = re.compile(r"[!@#^*~+=/?]")


def is_placeholder(value: str) -> bool:
    """Whether a value stands for another one, or says that there is none."""
    return _STANDS_FOR.match(value) is not None or value.lower() in _EMPTY_WORDS or len(set(value)) < 3


def value_of_member(value: str) -> bool:
    """Whether the value of a JSON member whose name says that it is secret may be one."""
    return bool(value) and not is_placeholder(value)


def assigned(match: re.Match[str], value: str) -> int:
    """What follows ``password =``: a value, and not the code or the words that often stand there."""
    if is_placeholder(value):
        return 0
    if match.start("quoted") >= 0:
        return len(value)
    after = match.string[match.end() : match.end() + 1]
    if after in ("(", "[") or value.startswith(("/", "./", "~", "-")) or _NAME_OF_ANOTHER.fullmatch(value):
        return 0
    digit, letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    if digit and (letter or _SIGN.search(value)):
        return len(value)
    if digit:  # a number: of tokens, say
        return len(value) if match["name"].lower().startswith(("pass", "pwd")) else 0
    # One word, as an environment file has it, and not the name of a variable.
    tight = match["mark"] == "="
    return len(value) if tight and (len(value) >= 8 or _SIGN.search(value)) and not _SECRET_WORD.search(value) else 0


def option(match: re.Match[str], value: str) -> int:
    """What follows ``--password`` or ``mysql -p`` on a command line: not the words of who writes about them."""
    if is_placeholder(value):
        return 0
    if match[0].startswith("-"):
        before = _OPTION.search(match.string[max(0, match.start() - 40) : match.start()])
        # A number: of tokens, say.
        if before is None or (value.isdigit() and "pass" not in match[0].lower()):
            return 0
    sure = match.start("quoted") >= 0 or any(map(str.isdigit, value)) or _SIGN.search(value)
    return len(value) if sure and not value.startswith(("/", "./", "~")) else 0


def card(_: re.Match[str], value: str) -> int:
    """A payment card: a known issuer, the right number of digits, and the check digit (ISO/IEC 7812, Luhn)."""
    digits = "".join(filter(str.isdigit, value))
    return len(value) if _issued(digits) and _luhn(digits) else 0


def _issued(digits: str) -> bool:
    two, four = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return len(digits) in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return len(digits) == 16
    if two in (34, 37):
        return len(digits) == 15
    if two in (36, 38, 39) or 3000 <= four <= 3059:
        return len(digits) in (14, 16, 19)
    return (two in (35, 50, 60, 62, 64, 65, 67) or 56 <= two <= 58) and 16 <= len(digits) <= 19


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 * (number > 9)
    return total % 10 == 0


def iban(_: re.Match[str], value: str) -> int:
    """An IBAN of its country's length whose check digits are right (ISO 13616, ISO 7064 mod 97-10)."""
    wanted = _IBAN_LENGTHS.get(value[:2].upper())
    if wanted is None:
        return 0
    end, seen = 0, 0
    while end < len(value) and seen < wanted:
        seen += value[end] not in " -"
        end += 1
    plain = "".join(char for char in value[:end] if char not in " -").upper()
    rest = value[end : end + 1]
    if len(plain) != wanted or rest.isalnum():
        return 0
    number = "".join(str(int(char, 36)) for char in plain[4:] + plain[:4])
    return end if int(number) % 97 == 1 else 0


def email(match: re.Match[str], value: str) -> int:
    """An address of a domain, and not the place of a repository or the version of a package."""
    local, _, domain = value.partition("@")
    last = domain.rpartition(".")[2]
    remote = local == "git" and match.string[match.end() : match.end() + 1] in (":", "/")
    return len(value) if len(last) >= 2 and not last.isdigit() and not remote else 0


def phone(_: re.Match[str], value: str) -> int:
    """So many digits as a telephone number may have (ITU-T E.164)."""
    return len(value) if 8 <= sum(map(str.isdigit, value)) <= 15 else 0


def ip_address(_: re.Match[str], value: str) -> int:
    """An address of a machine: not this machine's own, and none that stands for all."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return 0
    return 0 if address.is_loopback or address.is_unspecified or address.is_multicast else len(value)


CHECKS: dict[str, Callable[[re.Match[str], str], int]] = {
    "assigned": assigned,
    "card": card,
    "email": email,
    "iban": iban,
    "ip_address": ip_address,
    "phone": phone,
    "option": option,
    "placeholder": lambda _, value: 0 if is_placeholder(value) else len(value),
}
"""By the name that a rule gives."""
