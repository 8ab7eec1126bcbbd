# `ainerd watch` and `ainerd serve` in a container:
#   docker build --build-arg VERSION=0.1.0 --tag ainerd .
#   docker run --network host --volume /data:/data ainerd watch --config /data/agent.toml
# The embedded server answers on 127.0.0.1 only, so the container shares the network of the host.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
ARG VERSION=0.1.0
ENV SETUPTOOLS_SCM_PRETEND_VERSION_FOR_AINERD=${VERSION}
RUN python -m venv /opt/ainerd \
    && /opt/ainerd/bin/pip install --no-cache-dir --require-hashes --requirement requirements-agent.txt \
    && /opt/ainerd/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/ainerd /opt/ainerd
# Compiled kernels and calibrations are kept in the home of the user: mount a volume there to keep them.
RUN useradd --uid 1000 --create-home ainerd
USER 1000
WORKDIR /home/ainerd
ENV PATH=/opt/ainerd/bin:${PATH} NUMBA_CACHE_DIR=/home/ainerd/.cache/numba
ENTRYPOINT ["ainerd"]
CMD ["--help"]
