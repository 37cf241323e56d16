# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package rolecall \
    && cp target/release/rolecall /rolecall

# PostgreSQL is in the image so that `rolecall demo` needs nothing else; with DATABASE_URL set it
# is never started.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 65532 --create-home --home-dir /var/lib/rolecall rolecall
COPY --from=build /rolecall /usr/local/bin/rolecall
USER 65532
ENV ROLECALL_DATA_DIR=/var/lib/rolecall
VOLUME /var/lib/rolecall
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["rolecall", "health"]
ENTRYPOINT ["rolecall"]
CMD ["serve"]
