# Two images: `server` is lean and knows no torch, `worker` trains.
#
#   docker build --target server --tag nas-server:0.1.0 .
#   docker build --target worker --tag nas-worker:0.1.0 .                          on processors
#   docker build --target worker --build-arg TORCH=cuda --tag nas-worker:0.1.0-cuda .   on GPUs
FROM python:3.11.14-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    NAS_HOME=/data \
    NAS_LOG_FORMAT=json
# Numbers, so that Kubernetes can see that it is not root.
RUN groupadd --gid 10001 nas \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin nas \
    && install --directory --owner nas --group nas --mode 0700 /data
WORKDIR /app

FROM base AS server
COPY requirements-server.txt ./
RUN python -m pip install --no-deps --requirement requirements-server.txt
COPY pyproject.toml README.md ./
COPY alembic alembic
COPY search_spaces search_spaces
COPY nas_service nas_service
RUN python -m pip install --no-deps --editable . && python -m compileall -q nas_service search_spaces alembic
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["python", "-m", "nas_service.server"]

FROM base AS worker
ARG TORCH=cpu
# On a GPU some kernels are compiled when they are first met.
RUN if [ "$TORCH" = cuda ]; then \
        apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY .ci/install-torch .ci/install-torch
RUN TORCH="$TORCH" .ci/install-torch "$(command -v python)"
COPY pyproject.toml constraints.txt README.md ./
COPY alembic alembic
COPY search_spaces search_spaces
COPY nas_service nas_service
COPY workers workers
RUN python -m pip install --constraint constraints.txt --editable . \
    && python -m compileall -q nas_service search_spaces workers
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
# No health check: a worker that hangs loses its lease, one that ends is started again.
CMD ["nas-worker"]
