# The image of Sluice for amd64, arm64 and 32-bit ARM (linux/arm/v7): docs/guides/container.md.
#
# Nothing is run on the processor of the image, so all three can be built on one machine without an emulator.
# Each base is pinned: the version for people, the digest for Docker. Node has no 32-bit ARM from version 24 on.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
ARG NODE_IMAGE_ARMV7=node:22.23.1-bookworm-slim@sha256:6c74791e557ce11fc957704f6d4fe134a7bc8d6f5ca4403205b2966bd488f6b3
# Given by what builds: amd64, arm64 or arm.
ARG TARGETARCH

FROM --platform=$BUILDPLATFORM $NODE_IMAGE AS build
# As in the image of Mosquitto, so that volumes can be taken over from it.
RUN groupadd --gid 1883 sluice && \
    useradd --uid 1883 --gid sluice --home-dir /data --no-create-home --shell /usr/sbin/nologin sluice
WORKDIR /build
COPY package.json package-lock.json tsconfig.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit
COPY src src
COPY docs/reference/openapi.json docs/reference/
RUN npm run build
WORKDIR /image/usr/local/lib/sluice
ARG TARGETARCH
RUN cp /build/package.json /build/package-lock.json /build/.npmrc . && \
    npm ci --omit=dev --ignore-scripts --no-audit --os=linux --libc=glibc --cpu="$(echo "$TARGETARCH" | sed s/amd64/x64/)" && \
    rm package-lock.json .npmrc && \
    cp -r /build/dist . && \
    chmod 755 dist/cli/sluice.cjs && \
    mkdir -p /image/usr/local/bin /image/data && \
    ln -s ../lib/sluice/dist/cli/sluice.cjs /image/usr/local/bin/sluice

FROM $NODE_IMAGE AS base-amd64
FROM $NODE_IMAGE AS base-arm64
FROM $NODE_IMAGE_ARMV7 AS base-arm

FROM base-$TARGETARCH
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="MQTT broker, durable by default" \
      org.opencontainers.image.licenses="MIT"
# Buffers that are released go back to the system: see docs/reference/memory.md.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=32768
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /image/usr /usr
COPY deploy/container/sluice.yaml /etc/sluice/
COPY --from=build --chown=1883:1883 /image/data /data
# Commands look for the data of the broker in ./data, so `docker exec CONTAINER sluice status` finds it.
WORKDIR /
USER 1883:1883
VOLUME /data
# MQTT, MQTT over TLS, over WebSocket, over secure WebSocket, and the HTTP API: where the configuration has them.
EXPOSE 1883 8883 8083 8084 18083
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["sluice", "health", "--data-dir", "/data"]
# `sluice start` becomes process 1 with the options of V8 that a broker wants, and takes the signals of the container.
ENTRYPOINT ["sluice"]
CMD ["start", "--config", "/etc/sluice/sluice.yaml", "--data-dir", "/data"]
