"""Whatever stands in Proxy-Authorization, it is read or it is not; nothing is raised, nothing shown."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.authentication.credentials import Credentials, read_header, take_header


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


names = st.text().filter(lambda text: ":" not in text and _encodes(text))
texts = st.text().filter(_encodes)


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def read(value: bytes) -> tuple[str, str] | None:
    found = read_header([value])
    return found and (found.user, found.secret)


@given(names, texts)
def test_user_and_password_come_out_as_they_went_in_colons_and_all(user: str, password: str) -> None:
    assert read(basic(user, password)) == (user, password)


@given(names, texts)
def test_padding_and_the_alphabet_of_base64_do_not_matter(user: str, password: str) -> None:
    scheme, _, encoded = basic(user, password).partition(b" ")
    for value in (encoded.rstrip(b"="), encoded.replace(b"+", b"-").replace(b"/", b"_")):
        assert read(scheme.upper() + b"   " + value) == (user, password)


@given(st.lists(st.binary() | st.binary().map(lambda data: b"Basic " + data) | st.binary().map(base64.b64encode)))
def test_nothing_is_raised_whatever_comes(values: list[bytes]) -> None:
    found = read_header(values)
    assert found is None or len(set(values)) == 1


@given(st.binary())
def test_a_decoded_value_is_read_if_it_has_a_colon(data: bytes) -> None:
    assert (read(b"Basic " + base64.b64encode(data)) is None) == (b":" not in data)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Bearer",
        b"Bearer ",
        b"Bearer a b",
        b"Digest a:b",
        b"YTpi",
        b"Basic !",
        b"Basic YTpi!",
    ],
)
def test_what_is_no_credential_is_none(value: bytes) -> None:
    assert read(value) is None


def test_a_token_has_no_user() -> None:
    assert read(b"bearer  abc.def") == ("", "abc.def")


def test_the_same_value_twice_is_one_and_two_values_are_none() -> None:
    assert read_header([basic("a", "b"), basic("a", "b")]) is not None
    assert read_header([basic("a", "b"), basic("a", "c")]) is None
    assert read_header([]) is None


def test_a_value_that_is_too_long_is_not_read() -> None:
    assert read(basic("a", "b" * 10_000)) is None


def test_the_header_is_taken_out_in_every_case_of_its_name() -> None:
    fields = ((b"Host", b"h"), (b"Proxy-Authorization", b"1"), (b"proxy-AUTHORIZATION", b"2"), (b"Accept", b"*"))
    assert take_header(fields) == (((b"Host", b"h"), (b"Accept", b"*")), [b"1", b"2"])
    assert take_header(fields[:1])[0] is not None


def test_a_secret_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("alice", "secret"))


@given(names, texts, names, texts)
def test_a_mark_stands_for_one_user_and_secret(user: str, secret: str, other: str, another: str) -> None:
    same = (user, secret) == (other, another)
    assert (Credentials(user, secret).mark == Credentials(other, another).mark) is same
