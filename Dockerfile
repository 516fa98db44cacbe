# bn_ablate in a container, made from the locks, for a CPU or an NVIDIA GPU; from the root of the checkout:
#   docker build --tag bn_ablate .
#   docker build --tag bn_ablate:cuda --build-arg DEVICE=cuda .     # JAX brings CUDA's libraries, the host the driver
#   docker run --rm --volume "$PWD/results:/bn_ablate/results" bn_ablate run configs/ablate.toml --part 1/5
# BASE may be another image with Python 3.12 or later and apt.
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG DEVICE=cpu
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /bn_ablate
COPY . .
RUN make setup DEVICE=${DEVICE}
ENTRYPOINT [".venv/bin/bn-ablate"]
CMD ["--help"]
