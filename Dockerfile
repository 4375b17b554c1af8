# The speech server on CPU cores: docker build -t wavetts-server . && docker run --rm -p 127.0.0.1:8000:8000 wavetts-server
FROM python:3.12-slim

# PyTorch's own index has builds without CUDA, which spare some 5 GB. With --build-arg TORCH_INDEX=https://pypi.org/simple
# the usual build is taken, for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.6,<2.15"

WORKDIR /app
COPY pyproject.toml setup.py README.md LICENSE ./
COPY wavetts wavetts
COPY recipes/train recipes/train
# A compiler, for as long as it takes to build the kernel.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && pip install --no-cache-dir ".[serve]" \
    && apt-get purge -y --auto-remove gcc libc6-dev && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 speaker
USER speaker
WORKDIR /home/speaker
# Voices of yours: mount a folder that has NAME/model.safetensors in it.
ENV WAVETTS_VOICES=/voices PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Whoever runs it sets WAVETTS_API_KEY (--env), or publishes the port on a loopback address only.
ENTRYPOINT ["wavetts", "serve", "--host", "0.0.0.0", "--port", "8000"]
