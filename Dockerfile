FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json .npmrc ./
COPY src src
COPY docs/reference/openapi.json docs/reference/
RUN npm ci && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
# Buffers that are released go back to the system: see docs/reference/memory.md.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=32768
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY config config
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 1883 8083
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["node", "dist/cli/main.js", "health", "--data-dir", "/data"]
# A container is reached from outside, so this lets anybody in: put it on a network of its own, or use a configuration.
# How V8 collects what is young, as `npm start` has it: see docs/measurements/performance-work.md.
ENTRYPOINT ["node", "--no-parallel-scavenge", "--max-semi-space-size=4", "--minor-gc-task-trigger=25", "dist/cli/main.js"]
CMD ["start", "--host", "0.0.0.0", "--allow-anonymous", "--data-dir", "/data"]
