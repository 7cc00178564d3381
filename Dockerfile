# Two stages: the compiler stays behind. The result runs as nobody in particular (65532).
FROM rust:1.95-bookworm AS build
WORKDIR /src
# make and perl, which the vendored OpenSSL needs, are part of this image.
COPY . .
RUN cargo build --release --locked && strip target/release/cdrveil

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="cdrveil" \
      org.opencontainers.image.description="Pseudonymises call detail records on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
COPY --from=build /src/target/release/cdrveil /usr/local/bin/cdrveil
USER 65532:65532
EXPOSE 9464
# TLS to brokers needs a CA bundle: mount one and name it in [kafka.properties] "ssl.ca.location".
STOPSIGNAL SIGTERM
ENTRYPOINT ["cdrveil"]
CMD ["run", "--config", "/etc/cdrveil/cdrveil.toml"]
