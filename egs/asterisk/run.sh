#!/usr/bin/env bash
# Asterisk's voice prompts: 24 minutes of one real speaker, from Debian's packages to a speaking model on two CPU cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="Usage: egs/asterisk/run.sh [options] [-- section.field=value ...]

  stage 0  bring Debian's packages into LJSpeech's layout (pip install '.[recipes]')
  stage 1  preprocess at 16 kHz (pip install '.[train]')
  stage 2  train recipes/train/compact_16k.yaml; run it again to go on
  stage 3  synthesise the held-out prompts, with plots
  stage 4  score: likelihood, distances, for English a recogniser; a page to listen to (pip install '.[evaluate]')
  stage 5  compare densities (Gaussian, compact, subframe, the paper's scaled down) after equal wall time

  --stage N, --stop-stage N  first and last stage (default: 0 and 4; stage 5 is run on request)
  --language L         en, es, fr, it or ru (default: en)
  --packages DIR       folder with the .deb files; nothing is fetched
  --init-from MODEL    go on from a model, such as joe
  --minutes N          wall time of stage 2 (default: 45)
  --compare-minutes N  wall time of each of the four of stage 5 (default: 10)
  --jobs N             processes of stages 1 and 2 (default: one a core)
  --data DIR           corpus and training data (default: egs/asterisk/data/LANGUAGE)
  --exp DIR            models, speech, scores (default: egs/asterisk/exp/LANGUAGE)
  After --: fields of the training config, e.g. train.batch_seconds=20 (wavetts config lists them)."
. "$here/../options.sh"
packages= init_from= data= exp= jobs=$(getconf _NPROCESSORS_ONLN) stop_stage=4 language=en minutes=45 compare_minutes=10
parse_options "language packages init_from jobs minutes compare_minutes data exp" "$@"
data=${data:-$here/data/$language} exp=${exp:-$here/exp/$language}
case $language in en) code=en-us ;; es) code=es-419 ;; fr) code=fr-fr ;; *) code=$language ;; esac
config=$root/recipes/train/compact_16k.yaml
common=(text.language="$code" train.eval_every=200 train.save_every=200 train.sample_every=1000
  train.batch_seconds=24 encoder.dropout=0.2)

if at_stage 0 "unpack the prompts"; then
  python "$root/recipes/preprocess/asterisk.py" "$data/corpus" --language "$language" ${packages:+--packages "$packages"}
fi
if at_stage 1 "preprocess"; then
  wavetts preprocess "$data/corpus" "$data/16k" --sample-rate 16000 --language "$code" --dev 20 --test 20 --jobs "$jobs"
fi
if at_stage 2 "train for $minutes minutes"; then
  train_in_processes "$jobs"
  train "$config" "$data/16k" "$exp/compact" "${common[@]}" train.max_minutes="$minutes"
fi
if at_stage 3 "synthesise"; then
  wavetts synthesize "$exp/compact" --input "$data/16k/test.jsonl" --output-dir "$exp/compact/test" --plots
fi
if at_stage 4 "score"; then
  wavetts evaluate "$exp/compact" "$data/16k/test.jsonl" --synthesize 20 --output "$exp/compact/test.json" \
    --html "$exp/compact/page"
fi
if at_stage 5 "compare densities, $compare_minutes minutes each"; then
  python "$root/benchmarks/end_to_end.py" --data "$data/16k" --run "$exp/compare" --minutes "$compare_minutes" \
    "${common[@]}" ${overrides[@]+"${overrides[@]}"}
fi
