#!/usr/bin/env bash
# The whole chain on a few real clips, in under a minute: shows that an installation works. The model learns nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="Usage: egs/toy/run.sh [options] [-- section.field=value ...]

  stage 1  preprocess the LJSpeech excerpts of tests/data at 8 kHz (pip install '.[train]')
  stage 2  train recipes/train/toy.yaml
  stage 3  synthesise two held-out sentences, with plots
  stage 4  measure the model on them

  --stage N, --stop-stage N  first and last stage (default: all)
  --corpus DIR  a corpus in LJSpeech's layout (default: tests/data/ljspeech)
  --data DIR    what stage 1 makes (default: egs/toy/data)
  --exp DIR     what the others make (default: egs/toy/exp)
  After --: fields of the training config, e.g. train.max_steps=100 (wavetts config lists them)."
. "$here/../options.sh"
corpus=$root/tests/data/ljspeech
data=$here/data
exp=$here/exp
parse_options "corpus data exp" "$@"

if at_stage 1 "preprocess"; then
  wavetts preprocess "$corpus" "$data" --sample-rate 8000 --dev 2 --test 2
fi

if at_stage 2 "train"; then
  train "$root/recipes/train/toy.yaml" "$data" "$exp"
fi

if at_stage 3 "synthesise"; then
  wavetts synthesize "$exp" --input "$data/test.jsonl" --output-dir "$exp/test" --plots \
    --retries 0 --max-seconds 3 --overwrite
fi

if at_stage 4 "evaluate"; then
  wavetts evaluate "$exp" "$data/test.jsonl" --output "$exp/test.json"
fi
