# The other ends: SIPp as telephones (target load), Kamailio as the reference (target kamailio).
FROM debian:bookworm-slim AS load
RUN apt-get update && apt-get install -y --no-install-recommends sip-tester && rm -rf /var/lib/apt/lists/*
COPY deploy/load /load
USER nobody
ENTRYPOINT ["/load/load.sh"]

FROM debian:bookworm-slim AS kamailio
RUN apt-get update && apt-get install -y --no-install-recommends kamailio && rm -rf /var/lib/apt/lists/*
COPY deploy/kamailio/kamailio.cfg /etc/kamailio/kamailio.cfg
USER kamailio
# Its fast allocator: Debian's default is the one for debugging, five times slower.
ENTRYPOINT ["kamailio", "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "256", "-M", "16"]
CMD ["-f", "/etc/kamailio/kamailio.cfg", "-l", "udp:eth0:5060", "-P", "/tmp/kamailio.pid", "-Y", "/tmp", "-w", "/tmp"]
