#!/usr/bin/env bash
# The same recipe on one GPU for minutes: from a packed corpus to speech. A cut costs at most the last minute.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="Usage: egs/kokoro/gpu.sh [options] [-- section.field=value ...]

  stage 0  pack what egs/kokoro/run.sh preprocessed: Opus files in one folder, small enough to carry to another machine
  stage 1  unpack it
  stage 2  train; every minute held-out figures, a state and OUT/model-rounded.safetensors; run it again to go on
  stage 3  speak the held-out sentences

  --stage N, --stop-stage N  first and last stage (default: 0 and 3; on the machine with the GPU: 1 and 3)
  --corpus DIR     what \`wavetts preprocess\` wrote (default: egs/kokoro/data/16k)
  --packed DIR     the packed corpus (default: egs/kokoro/data/packed)
  --hours N        speech to pack, in at most 40 MiB (default: 4)
  --data DIR       the unpacked corpus (default: egs/kokoro/data/unpacked)
  --exp DIR        model, speech (default: egs/kokoro/gpu)
  --minutes N      wall time of stage 2 (default: 8)
  --batch-seconds N  of audio in a step (default: 480)
  --init-from MODEL  a model to go on from, such as heart; without one, minutes are hardly enough to learn to read
  --device NAME    cuda, cuda:1, cpu (default: cuda)
  --jobs N         processes and threads that unpack and read (default: one a core)
  --tiny           a tiny model, to try the script
  After --: fields of the training config (wavetts config lists them)."
. "$here/../options.sh"
corpus=$here/data/16k packed=$here/data/packed hours=4 data=$here/data/unpacked exp=$here/gpu
minutes=8 batch_seconds=480 init_from= device=cuda jobs=$(getconf _NPROCESSORS_ONLN) tiny=
parse_options "corpus packed hours data exp minutes batch_seconds init_from device jobs tiny!" "$@"

# Products in bfloat16.
fields=(train.precision=bf16 train.compile_attention=true train.decay_fraction=0.5)
if [[ $tiny ]]; then
  fields+=(encoder.hidden_dim=16 'decoder.prenet_dims=[16,16]' decoder.attention_dim=16 decoder.hidden_dim=16 decoder.cond_dim=16
    density.context_dim=16 density.inner.inner.hidden_dim=8 density.inner.inner.num_couplings=2)
fi

if at_stage 0 "pack"; then
  python "$root/recipes/preprocess/pack.py" pack "$corpus" "$packed" --hours "$hours" --mebibytes 40 --jobs "$jobs"
fi
if at_stage 1 "unpack"; then
  python "$root/recipes/preprocess/pack.py" unpack "$packed" "$data" --jobs "$jobs"
fi
if at_stage 2 "train for $minutes minutes"; then
  mkdir -p "$exp"
  # For whoever can carry away small files only: the last minute's weights, in 16 bits.
  round() { wavetts export "$exp/model.safetensors" "$exp/model-rounded.safetensors" >/dev/null; }
  (while sleep 60; do [[ ! -e $exp/model.safetensors ]] || round || true; done) >/dev/null 2>&1 &
  rounding=$!
  trap 'kill $rounding 2>/dev/null || true' EXIT
  train "$root/recipes/train/linear_prediction_16k.yaml" "$data" "$exp" --device "$device" "${fields[@]}" \
    train.max_minutes="$minutes" train.save_minutes=1 train.batch_seconds="$batch_seconds" train.short_epochs=0 \
    train.keep_audio=true train.loader_threads="$jobs" train.eval_every=1000000 train.save_every=1000000 train.sample_every=1000000
  round
fi
if at_stage 3 "speak"; then
  wavetts synthesize "$exp" --input "$data/test.jsonl" --output-dir "$exp/test" --device "$device"
fi
