# kenyan13 on the CPU, with the versions of constraints.txt.
#   docker build -t kenyan13 .
#   docker run --rm -v "$PWD:/work" kenyan13 train data=folder data.root=birds trainer=cpu
#   docker run --rm -v "$PWD:/work" -p 8000:8000 kenyan13 serve runs/NAME --host 0.0.0.0
# With an NVIDIA GPU, PyPI's own PyTorch, which has CUDA in it; shared memory is for the processes that load images.
#   docker build -t kenyan13 --build-arg TORCH=https://pypi.org/simple .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" kenyan13 train data=folder data.root=birds
FROM python:3.12-slim
ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY kenyan13 kenyan13
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url "$TORCH" ".[serve,heif]"
WORKDIR /work
ENTRYPOINT ["kenyan13"]
