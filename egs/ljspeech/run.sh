#!/usr/bin/env bash
# LJSpeech, the paper's public corpus: from its archive to a trained model, spoken test sentences and their scores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="Usage: egs/ljspeech/run.sh [options] [-- section.field=value ...]

  stage 0  download LJSpeech 1.1 (2.6 GB), check and unpack it
  stage 1  preprocess: resample, trim, phonemise, split (pip install '.[train]')
  stage 2  train (the paper's model; made for GPUs); run it again to go on
  stage 3  synthesise the held-out test sentences, with plots
  stage 4  score: likelihood, distances, a recogniser; a page to listen to (pip install '.[evaluate]')

  --stage N, --stop-stage N  first and last stage (default: all)
  --archive FILE     LJSpeech-1.1.tar.bz2 that is already here; nothing is downloaded
  --corpus DIR       where it is unpacked; metadata.csv and wavs/ in it are taken as they are
                     (default: egs/ljspeech/data/LJSpeech-1.1)
  --config FILE      (default: recipes/train/ljspeech_paper_phonemes.yaml)
  --sample-rate HZ   the config's audio.sample_rate (default: 24000)
  --held-out N       clips each for dev and test (default: 100)
  --data DIR         what stage 1 makes (default: egs/ljspeech/data/HZ)
  --exp DIR          what the others make (default: egs/ljspeech/exp/CONFIG)
  --jobs N           processes of stage 1 (default: the number of cores)
  --gpus N           processes of stage 2, one for each GPU (default: 1)
  After --: fields of the training config, e.g. train.batch_seconds=200 (wavetts config lists them)."
. "$here/../options.sh"
archive= data= exp=
corpus=$here/data/LJSpeech-1.1
config=$root/recipes/train/ljspeech_paper_phonemes.yaml
sample_rate=24000
held_out=100
jobs=$(getconf _NPROCESSORS_ONLN)
gpus=1
parse_options "archive corpus config sample_rate held_out data exp jobs gpus" "$@"
data=${data:-$here/data/$sample_rate}
exp=${exp:-$here/exp/$(basename "$config" .yaml)}

if at_stage 0 "download and unpack"; then
  python "$root/recipes/preprocess/ljspeech.py" "$corpus" ${archive:+--archive "$archive"}
fi
if at_stage 1 "preprocess"; then
  wavetts preprocess "$corpus" "$data" --sample-rate "$sample_rate" --dev "$held_out" --test "$held_out" --jobs "$jobs"
fi
if at_stage 2 "train"; then
  ((gpus == 1)) || launcher="python -m torch.distributed.run --standalone --nproc-per-node $gpus -m -- wavetts"
  train "$config" "$data" "$exp"
fi
if at_stage 3 "synthesise"; then
  wavetts synthesize "$exp/best.safetensors" --input "$data/test.jsonl" --output-dir "$exp/test" --plots
fi
if at_stage 4 "score"; then
  wavetts evaluate "$exp/best.safetensors" "$data/test.jsonl" --synthesize "$held_out" --output "$exp/test.json" \
    --html "$exp/page" --jobs "$jobs"
fi
