import pytest

from tasks.worker.outcome import TEXT_LIMIT, Failure, cut, tail


def test_a_text_within_the_limit_is_left_alone() -> None:
    assert cut("x" * TEXT_LIMIT) == "x" * TEXT_LIMIT


def test_a_longer_one_is_cut_and_says_how_long_it_was() -> None:
    assert cut("abcdef", 3) == "abc… (cut, 6 characters in all)"
    assert tail("abcdef", 3) == "(cut, 6 characters in all) …def"


@pytest.mark.parametrize("lone", ["\ud800", "a\udfffb"])
def test_what_is_no_unicode_is_made_so(lone: str) -> None:
    assert cut(lone).encode()
    assert tail(lone).encode()


def test_an_error_without_words_has_a_text_nevertheless() -> None:
    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise RecursionError

    failure = Failure.of(SpeechlessError())
    assert (failure.type, failure.text) == ("SpeechlessError", "(its text cannot be had: RecursionError)")
