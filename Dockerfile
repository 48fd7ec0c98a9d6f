# The commands, for machines with NVIDIA GPUs; docs/guide/sharing.md#in-a-container has examples.
#
#     docker build --tag pgan_tf .                      # with CUDA's libraries: some 6 GB
#     docker build --tag pgan_tf --build-arg EXTRAS= .  # for CPUs
#
# EXTRAS takes any extras of setup.cfg, such as cuda,video,onnx.

FROM python:3.12.11-slim-bookworm AS environment
ARG EXTRAS=cuda
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /source
# First what the project needs, for a stand-in without code: a layer that is made anew only when
# setup.cfg changes, which says which versions will do.
COPY setup.cfg pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN mkdir pgan_tf \
    && echo '__version__ = "0"' > pgan_tf/__init__.py \
    && python -m pip install ".${EXTRAS:+[$EXTRAS]}" \
    && python -m pip uninstall --yes pgan_tf \
    && rm -r pgan_tf
COPY configs configs
COPY tfrecords_tools tfrecords_tools
COPY pgan_tf pgan_tf
RUN python -m pip install --no-deps .

FROM python:3.12.11-slim-bookworm
LABEL org.opencontainers.image.title="pgan_tf" \
      org.opencontainers.image.description="Trains progressive GANs with TensorFlow 2 and Keras 3" \
      org.opencontainers.image.source="https://github.com/pgan-tf/pgan_tf" \
      org.opencontainers.image.licenses="MIT"
# Writable for everyone, so that --user="$(id -u):$(id -g)" works, too.
RUN useradd --uid 1000 --home-dir /home/pgan --no-create-home pgan \
    && install --directory --mode=1777 /home/pgan /data /runs
COPY --from=environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/pgan \
    LOGNAME=pgan \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONUNBUFFERED=1
USER 1000
WORKDIR /home/pgan
VOLUME ["/data", "/runs"]
CMD ["pgan-train", "--help"]
