# What every run.sh shares, sourced by it once it has set `usage`: options, stages, and the commands that it calls from
# this checkout. Sets `root` (the checkout) and `overrides` (all that follows --).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
stage=0
stop_stage=99
overrides=()

die() {
  echo "$(basename "$(dirname "$0")")/$(basename "$0"): $1; see --help" >&2
  exit 2
}

# Set the variables named in the first word from `--name value` or `--name=value`; - and _ are the same in a name.
# A name that ends with ! takes no value: its variable becomes 1.
parse_options() {
  local known=" stage stop_stage $1 " name word
  shift
  while (($#)); do
    word=$1
    shift
    case $word in
      -h | --help)
        printf '%s\n' "$usage"
        exit
        ;;
      --)
        overrides=("$@")
        break
        ;;
      --*)
        name=${word#--}
        name=${name%%=*}
        name=${name//-/_}
        if [[ $known == *" $name! "* && $word != *=* ]]; then
          printf -v "$name" 1
          continue
        fi
        [[ $known == *" $name "* ]] || die "unknown option ${word%%=*}"
        if [[ $word == *=* ]]; then
          printf -v "$name" %s "${word#*=}"
        else
          (($#)) || die "$word needs a value"
          printf -v "$name" %s "$1"
          shift
        fi
        ;;
      *) die "unexpected argument $word (fields of the training config follow --)" ;;
    esac
  done
  [[ $stage =~ ^[0-9]+$ && $stop_stage =~ ^[0-9]+$ ]] || die "--stage and --stop-stage take whole numbers"
}

# Whether stage $1 was asked for; announces it as $2.
at_stage() {
  ((10#$stage <= $1 && $1 <= 10#$stop_stage)) && echo "== stage $1: $2" >&2
}

python() { "${PYTHON:-python3}" "$@"; }

wavetts() { python -m wavetts "$@"; }

# Train in $1 processes of one thread. Small products on several threads spend their time waiting for each other.
train_in_processes() {
  export OMP_NUM_THREADS=1
  (($1 == 1)) || launcher="python -m torch.distributed.run --standalone --nproc-per-node $1 -m -- wavetts"
}

# Train config $1 on data $2 into run folder $3, or go on where that left off; the rest are overrides, the user's last.
# A new run starts from the weights of $init_from, if that is set.
train() {
  local config=$1 data=$2 run=$3
  shift 3
  set -- train "$config" "$@" ${overrides[@]+"${overrides[@]}"} --data "$data" --run "$run"
  if compgen -G "$run/state-*.pt" >/dev/null; then
    set -- "$@" --resume
  elif [[ ${init_from:-} ]]; then
    set -- "$@" --init-from "$init_from"
  fi
  ${launcher:-wavetts} "$@"
}
