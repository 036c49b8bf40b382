#!/bin/bash
# The user by whom Grafana asks ClickHouse. The image runs it on an empty volume, as the user of
# CLICKHOUSE_USER, after users.sql. The plugin sends settings with its queries: readonly = 2.
set -eu
hash=$(printf %s "$GRAFANA_CLICKHOUSE_PASSWORD" | sha256sum | cut -d' ' -f1)
clickhouse-client --host 127.0.0.1 --user "$CLICKHOUSE_USER" --password "$CLICKHOUSE_PASSWORD" --query \
  "CREATE USER IF NOT EXISTS grafana IDENTIFIED WITH sha256_hash BY '$hash'
     DEFAULT ROLE tollstream_grafana SETTINGS readonly = 2"
