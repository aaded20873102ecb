"""Countries and their subdivisions (ISO 3166), as pycountry has them, under the names and codes that wires use.

The only home of pycountry. Owns how a name becomes a code of a wire: `New York` is `newyork`. Which of them a product
has is no matter of this file.
"""

from __future__ import annotations

import gettext
import unicodedata
from functools import lru_cache
from typing import Final

import pycountry

# What the wires that list places in several languages ask for, as the library names them.
LANGUAGES: Final = ("zh_CN", "ru", "zh_TW")


def code_of(name: str) -> str:
    """The name as the code of a wire: small letters and digits, without accents, spaces or signs. Empty where the name
    has none."""
    if name.isascii():
        return "".join(filter(str.isalnum, name.lower()))
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(filter(str.isalnum, plain))


@lru_cache(512)
def country_name(code: str) -> str | None:
    """What people call the country with these two capital letters; None: there is none."""
    found = pycountry.countries.get(alpha_2=code)
    return None if found is None else str(getattr(found, "common_name", found.name))


@lru_cache(4096)
def country_name_in(code: str, language: str) -> str | None:
    """The same in a language of `LANGUAGES`; None where it is not known."""
    name = country_name(code)
    if name is None:
        return None
    told = _words(language).gettext(name)
    return None if told == name else told


@lru_cache(4096)
def subdivision(country: str, text: str) -> tuple[str, str] | None:
    """Code and name of the subdivision that is meant by its ISO code (`US-AL`, `AL`), its name or the code of a wire;
    None: the country has none such."""
    by_name, by_code = _subdivisions(country)
    wanted = code_of(text)
    known = by_code.get(text.upper()) or (wanted if wanted in by_name else by_code.get(f"{country}-{text.upper()}"))
    return None if known is None else (known, by_name[known])


@lru_cache(512)
def _subdivisions(country: str) -> tuple[dict[str, str], dict[str, str]]:
    """Names by code of a wire, and these by ISO code. Of two with one name (a department and its region) the outer one
    stands for both: on the wires they are one."""
    listed = pycountry.subdivisions.get(country_code=country) or []  # type: ignore[no-untyped-call]
    by_name: dict[str, str] = {}
    by_code: dict[str, str] = {}
    for one in sorted(listed, key=lambda one: (one.parent_code is not None, one.code)):
        name = one.name.partition(" [")[0]  # in another language, in brackets
        by_code[one.code] = code_of(name)
        by_name.setdefault(code_of(name), name)
    return by_name, by_code


@lru_cache(len(LANGUAGES))
def _words(language: str) -> gettext.NullTranslations:
    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True)
