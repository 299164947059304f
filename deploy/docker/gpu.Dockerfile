# A client that trains on an NVIDIA GPU through CUDA (tfjs-node-gpu), or through WebGPU (Dawn on Vulkan).
# NOT RUN BY US: no machine of ours has a GPU under Docker; deploy/README.md says so, too. First build --target client, then
# docker build -f deploy/docker/gpu.Dockerfile --build-arg CLIENT_IMAGE=starling-client .
# tfjs-node-gpu 4.22 is linked against CUDA 11 and cuDNN 8. `starling doctor` in the container says what it found.
ARG BUILD_IMAGE=node:20-bookworm
ARG CLIENT_IMAGE=starling-client:0.1.0
ARG CUDA_IMAGE=nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04

FROM ${CLIENT_IMAGE} AS client

FROM ${BUILD_IMAGE} AS build
WORKDIR /app
RUN npm init --yes && npm install --no-audit --no-fund @tensorflow/tfjs-node-gpu@4.22.0 @tensorflow/tfjs-backend-webgpu@4.22.0 webgpu@0.6.2

FROM ${CUDA_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends libvulkan1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
# First what the back ends bring, then the client over it: where both have a package, the client's version holds.
COPY --from=build /app/node_modules /app/node_modules
COPY --from=client /app /app
RUN mkdir -p /var/lib/starling && chown 10001:10001 /var/lib/starling && ln -s /app/dist/cli/main.js /usr/local/bin/starling
ENV NODE_ENV=production STARLING_HOME=/var/lib/starling NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
USER 10001:10001
WORKDIR /var/lib/starling
VOLUME /var/lib/starling
HEALTHCHECK NONE
ENTRYPOINT ["starling"]
CMD ["client", "run"]
