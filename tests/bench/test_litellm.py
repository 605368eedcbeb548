"""LiteLLM's proxy as a variant: found where it is, set up to record, compared in the same rounds."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench import litellm
from bench.answers import COUNTER
from bench.cases import CASES
from bench.load import Slice
from bench.report import summarize, table
from bench.rounds import Measured


def installed(folder: Path) -> Path:
    program = folder / "bin" / "litellm"
    program.parent.mkdir(parents=True)
    program.touch()
    return program


def test_it_is_found_by_its_environment_or_by_the_python_in_it(tmp_path: Path) -> None:
    program = installed(tmp_path / "venv")
    assert litellm.found(tmp_path / "venv") == program
    assert litellm.found(tmp_path / "venv" / "bin" / "python") == program


def test_without_it_nothing_is_missing_unless_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "PLACE", tmp_path / "none")
    assert litellm.found(None) is None
    with pytest.raises(FileNotFoundError, match=r"pip install 'litellm\[proxy\]'"):
        litellm.found(tmp_path / "none")


def test_it_is_told_the_upstream_and_to_record(tmp_path: Path) -> None:
    litellm.prepare(tmp_path, 4711)
    config = (tmp_path / "litellm.yaml").read_text()
    assert "https://127.0.0.1:4711" in config
    assert "callbacks: bench_callback.recorder" in config
    compile((tmp_path / "bench_callback.py").read_text(), "bench_callback.py", "exec")
    for case in litellm.CASES:
        assert f'"model":"{litellm.MODEL}"'.encode() in CASES[case].request.body


def test_what_it_wrote_down_is_counted(tmp_path: Path) -> None:
    assert litellm.recorded(tmp_path) == 0
    (tmp_path / "litellm.jsonl").write_text("{}\n{}\n")
    assert litellm.recorded(tmp_path) == 2


@pytest.mark.parametrize("case", litellm.CASES)
@pytest.mark.parametrize("change", [bytes, gzip.compress, lambda body: body.replace(b'","', b'", "')])
def test_an_answer_in_other_words_is_the_answer(case: str, change) -> None:
    answer = CASES[case].answer
    answer.retold(change(answer.body.replace(COUNTER, b"0000000007")))


@pytest.mark.parametrize("case", litellm.CASES)
def test_a_cut_or_a_foreign_answer_is_none(case: str) -> None:
    answer = CASES[case].answer
    for body in (answer.body[: len(answer.body) // 2], b'{"error":{"message":"no"}}', b""):
        with pytest.raises(ValueError, match="parts came where"):
            answer.retold(body)


@pytest.mark.parametrize(("speed", "verdict"), [(80.0, "ok"), (200.0, "MISS")])
def test_it_is_compared_round_by_round(speed: float, verdict: str) -> None:
    found = Measured(answered={"litellm": 800}, logged=799)
    found.slices["json"] = [
        {
            "plain": Slice(requests=800, seconds=1.0, cpu=1.0, first=[1.0]),
            "aitap": Slice(requests=800, seconds=1.0, cpu=1.0, first=[1.0]),
            "litellm": Slice(requests=100, seconds=100 / speed, cpu=1.0, first=[9.0]),
        }
    ] * 8
    summary = summarize(found, ("plain", "aitap"))
    assert summary.litellm["json"]["requests"].middle == pytest.approx(800 / speed)
    assert summary.litellm["json"]["requests"].verdict == verdict
    assert summary.litellm["json"]["cpu"].middle == pytest.approx(1 / 8)
    assert "wrote down 799 of the 800" in table(summary, found)
