# reidsearch, to be served:  docker build --tag reidsearch .
#
# Everything that it keeps is in /data. Nothing else is written to but /tmp, so that the root may be
# read-only:
#
#   docker run --init --read-only --tmpfs /tmp --volume reidsearch:/data \
#       --publish 127.0.0.1:8733:8733 reidsearch
#
# Nobody is let in before there is a token:
#
#   docker run --rm --volume reidsearch:/data reidsearch token ann --role search

# The Python and the Debian that tests run on.
FROM python:3.11.13-slim-bookworm AS build
ARG EXTRAS=postgres,serve
ENV PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY reidsearch reidsearch
# The environment itself has no pip: nothing is to be installed where it runs. What is installed is
# what was copied; pyproject.toml says which versions of all else.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/reidsearch \
    && pip --python /opt/reidsearch/bin/python install --compile ".[${EXTRAS}]"

FROM python:3.11.13-slim-bookworm
# A new volume begins with what is in /data here: a list of tokens with none on it, so that the
# service starts, and lets nobody in.
RUN pip uninstall --yes pip setuptools wheel \
    && useradd --system --uid 10001 --home-dir /data --no-create-home reidsearch \
    && install --directory --owner reidsearch --group reidsearch /data \
    && echo "[]" > /data/tokens.json \
    && chmod 600 /data/tokens.json \
    && chown reidsearch:reidsearch /data/tokens.json
COPY --from=build /opt/reidsearch /opt/reidsearch
ENV PATH=/opt/reidsearch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    REIDSEARCH_DATA_DIR=/data
# By number, so that who starts it can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8733
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as To; to = To('127.0.0.1', 8733, timeout=4); to.request('GET', '/healthz'); raise SystemExit(to.getresponse().status != 200)"]
ENTRYPOINT ["reidsearch"]
CMD ["serve", "--host", "0.0.0.0"]
