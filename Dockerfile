# One image for server and workers, with the CPU build of torch.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md ./
COPY .ci/install-torch .ci/install-torch
RUN .ci/install-torch "$(command -v python)"
COPY alembic alembic
COPY search_spaces search_spaces
COPY nas_service nas_service
COPY workers workers
RUN python -m pip install --no-cache-dir --constraint constraints.txt --editable .
