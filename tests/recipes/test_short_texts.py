from __future__ import annotations

import calendar
import re

TEXT = "a|The committee met, as usual, on the third day; nobody knew why it had taken so long.\nb|It rained.\n"


def test_short_texts_of_every_kind(run_recipe, tmp_path):
    (tmp_path / "texts").write_text(TEXT, encoding="utf-8")
    words = [tmp_path / "texts", tmp_path / "out.txt", "--words", 5, "--phrases", 7, "--questions", 6, "--numbers", 200]
    result = run_recipe("short_texts", *words)
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()
    assert result.stdout == f"{tmp_path / 'out.txt'}: {len(lines)} texts\n"
    assert len(lines) == len(set(lines)) > 190
    assert sum(bool(re.fullmatch(r"[A-Z][a-z]+\.", line)) for line in lines) >= 5
    assert {f"{number}." for number in range(121)} < set(lines)
    assert any("$" in line for line in lines) and any("%" in line for line in lines)
    assert sum(line.endswith("?") for line in lines) >= 4
    run_recipe("short_texts", words[0], tmp_path / "many.txt", "--numbers", 3000)
    many = (tmp_path / "many.txt").read_text(encoding="utf-8")
    assert all(calendar.month_name[month] in many for month in range(1, 13))
    # Phrases stay within what is read in one breath.
    assert not any("met as" in line or "day nobody" in line for line in lines)
    run_recipe("short_texts", *words[:1], tmp_path / "again.txt", *words[2:])
    assert (tmp_path / "again.txt").read_text(encoding="utf-8").splitlines() == lines


def test_short_texts_mistakes(run_recipe, tmp_path):
    (tmp_path / "texts").write_text("eins\n", encoding="utf-8")
    result = run_recipe("short_texts", tmp_path / "texts", tmp_path / "out.txt")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "texts: no two words of Latin letters in a row" in result.stderr
    result = run_recipe("short_texts", tmp_path / "none", tmp_path / "out.txt")
    assert result.returncode == 2 and "none: no such file" in result.stderr
    assert not (tmp_path / "out.txt").exists()
