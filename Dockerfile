# The program alone, statically linked: no shell, no libc, nothing to update but cdrveil itself. It runs as nobody in
# particular (65532) and writes nothing, so `--read-only --cap-drop ALL` takes nothing from it.
#
#   docker build -t cdrveil .
FROM rust:1.95-bookworm AS build
# make and perl, which the vendored OpenSSL needs, are part of this image.
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
# musl-gcc compiles the C parts, but rustc's own linker links: musl-gcc would make the program ask for a loader that
# an empty image does not have.
ENV CC_x86_64_unknown_linux_musl=musl-gcc CC_aarch64_unknown_linux_musl=musl-gcc
RUN target="$(uname -m)-unknown-linux-musl" \
    && cargo build --release --locked --target "$target" \
    && install -D --strip "target/$target/release/cdrveil" /out/usr/local/bin/cdrveil \
    && install -d -o 65532 -g 65532 /out/var/lib/cdrveil

# For docker-compose.yml, which makes a key at its first start: the same program beside a shell.
FROM debian:bookworm-slim AS setup
COPY --from=build /out/ /
USER 65532:65532

FROM scratch
LABEL org.opencontainers.image.title="cdrveil" \
      org.opencontainers.image.description="Pseudonymises call detail records on Kafka" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
COPY --from=build /out/ /
USER 65532:65532
EXPOSE 9464
# TLS to brokers needs a CA bundle: mount one and name it in [kafka.properties] "ssl.ca.location".
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/cdrveil"]
CMD ["run", "--config", "/etc/cdrveil/cdrveil.toml"]
