from __future__ import annotations

from wavetts.model.checkpoint import load_model
from wavetts.synthesis.catalog import find_voice


def test_export_changes_how_a_voice_speaks_by_itself(tmp_path, run):
    output = tmp_path / "voice.safetensors"
    code, _, err = run(
        "export", "joe", str(output), "--mantissa-bits", "6", "synthesis.temperature=0.5", "synthesis.voiced_scale=0.7"
    )
    assert code == 0, err
    before, after = (load_model(path).config.synthesis for path in (find_voice("joe"), output))
    assert (after.temperature, after.voiced_scale) == (0.5, 0.7)
    assert after.guidance == before.guidance
