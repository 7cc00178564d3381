"""Writes overview.json and keys.json, the Grafana dashboards, from the panels below.

usage: python3 config/dashboards/build.py [--check]

--check writes nothing and fails where a file is not what would be written. The queries are run by
tests/observability.rs against a Prometheus that scrapes the daemon on a real Kafka.
"""

import json
import sys
from pathlib import Path

# Stands for the selector of every query: the chosen job and instances.
SELECTOR = 'job=~"$job",instance=~"$instance"'
RATE = "[$__rate_interval]"
WIDTH = 24

# A panel: kind, width in columns of 24, title, unit, description, and its queries with their legends. In queries
# {S} is the selector alone, {S, that and a label matcher of its own, [R] the rate interval.
OVERVIEW = [
    ("Are we OK", [
        ("stat", 4, "Ready instances", "percentunit",
         "Instances on which every check of /readyz holds, of those that answer. Below 100 %: runbook not-ready.",
         [("avg(cdrveil_ready{S})", "ready")]),
        ("stat", 4, "Behind", "s",
         "The longest any partition is behind. 0: all that was read is committed. Runbook no-progress.",
         [("max(cdrveil_lag_seconds{S})", "lag")]),
        ("stat", 4, "Rejected", "percentunit",
         "Rejected records, of those read, over the last hour. The objective is 0.1 %. Runbook rejections.",
         [("sum(increase(cdrveil_records_rejected_total{S}[1h])) / sum(increase(cdrveil_records_read_total{S}[1h]))", "rejected")]),
        ("stat", 4, "Later than 60 s", "percentunit",
         "Records that were older than 60 s when they were committed, over the last hour. The objective is 1 %. Runbook freshness.",
         [('1 - sum(increase(cdrveil_record_age_seconds_bucket{S,le=~"60([.]0)?"}[1h])) / sum(increase(cdrveil_record_age_seconds_count{S}[1h]))', "late")]),
        ("stat", 4, "Keyrings in use", "short",
         "Different keyrings among the instances: 1, but for seconds around a reload. Runbook keyrings-differ.",
         [("count(count by (fingerprint) (cdrveil_keyring_info{S}))", "keyrings")]),
        ("stat", 4, "Books differ by", "short",
         "|read - public - rejected - skipped|, summed. Anything but 0 is a defect. Runbook books-differ.",
         [("sum(cdrveil_reconciliation_difference_records{S})", "records")]),
    ]),
    ("Throughput and freshness", [
        ("timeseries", 8, "Records", "cps",
         "Records per second, in and out by output, counted when committed.",
         [("sum(rate(cdrveil_records_read_total{S}[R]))", "read"),
          ("sum by (output) (rate(cdrveil_records_written_total{S}[R]))", "{{output}}")]),
        ("timeseries", 8, "Bytes", "Bps",
         "Payload bytes per second before compression. Restricted and rejected records are sealed, and so larger than what is in them.",
         [("sum(rate(cdrveil_bytes_read_total{S}[R]))", "read"),
          ("sum by (output) (rate(cdrveil_bytes_written_total{S}[R]))", "{{output}}")]),
        ("timeseries", 8, "Age of records when committed", "s",
         "From the raw message's Kafka timestamp to the commit that made its records visible. Exact only as far as the buckets are fine.",
         [("histogram_quantile(0.5, sum by (le) (rate(cdrveil_record_age_seconds_bucket{S}[R])))", "half of them"),
          ("histogram_quantile(0.99, sum by (le) (rate(cdrveil_record_age_seconds_bucket{S}[R])))", "99 %"),
          ("sum(rate(cdrveil_record_age_seconds_sum{S}[R])) / sum(rate(cdrveil_record_age_seconds_count{S}[R]))", "mean")]),
        ("timeseries", 8, "Stages", "s",
         "Mean time of one polled batch in the transform (cutting, pseudonyms, sealing, handing to the producer), and of one commit (flush included).",
         [("sum(rate(cdrveil_transform_seconds_sum{S}[R])) / sum(rate(cdrveil_transform_seconds_count{S}[R]))", "transform, a batch"),
          ("sum(rate(cdrveil_commit_seconds_sum{S}[R])) / sum(rate(cdrveil_commit_seconds_count{S}[R]))", "commit"),
          ("histogram_quantile(0.99, sum by (le) (rate(cdrveil_commit_seconds_bucket{S}[R])))", "commit, 99 %")]),
        ("timeseries", 8, "Time in the transform", "percentunit",
         "Share of its time that a lane spends transforming, over all lanes that are not stopped. Near 100 %: more lanes or instances.",
         [('sum(rate(cdrveil_transform_seconds_sum{S}[R])) / sum(cdrveil_lanes{S,state!="stopped"})', "of a lane")]),
        ("timeseries", 8, "Producer queues", "short",
         "Records that the brokers had not acknowledged when the last commits began. Near queue.buffering.max.messages the brokers are the bottleneck.",
         [("sum by (instance) (cdrveil_producer_queue_records{S})", "{{instance}}")]),
    ]),
    ("Lag by partition", [
        ("timeseries", 12, "Lag in records", "short",
         "Offsets between the committed one and the end of the partition, transaction markers included. Gone with the instance: watch the group from outside too.",
         [("sum by (topic, partition) (cdrveil_lag_records{S})", "{{topic}}/{{partition}}")]),
        ("timeseries", 12, "Lag in time", "s",
         "How long what waits has waited. 0 where everything is read and committed.",
         [("max by (topic, partition) (cdrveil_lag_seconds{S})", "{{topic}}/{{partition}}")]),
        ("timeseries", 12, "Partitions by instance", "short",
         "Raw partitions each instance holds. The sum is the topics' partitions unless some are assigned to nobody.",
         [("sum by (instance) (cdrveil_assigned_partitions{S})", "{{instance}}")]),
        ("timeseries", 12, "Deleted unread", "short",
         "Offsets that retention deleted before they were read, by partition. Any is a loss. Runbook records-lost.",
         [("sum by (topic, partition) (increase(cdrveil_lost_offsets_total{S}[R]))", "{{topic}}/{{partition}}")]),
    ]),
    ("Rejections and outputs", [
        ("timeseries", 8, "Rejections by reason", "cps",
         "Records per second sealed to the rejected topic. What each reason means: runbook rejections.",
         [("sum by (reason) (rate(cdrveil_records_rejected_total{S}[R]))", "{{reason}}")]),
        ("timeseries", 8, "Skipped rows by reason", "cps",
         "Rows per second that are no records: headers, comments, markers, tombstones.",
         [("sum by (reason) (rate(cdrveil_records_skipped_total{S}[R]))", "{{reason}}")]),
        ("timeseries", 8, "Transactions", "cps",
         "Per second by outcome (at-least-once: offset commits). An aborted one is read again.",
         [("sum by (outcome) (rate(cdrveil_transactions_total{S}[R]))", "{{outcome}}")]),
        ("timeseries", 8, "Failed writes by output", "short",
         "Times a lane gave up what it was writing, by the output that the error names. Runbook restricted-failing.",
         [("sum by (output) (increase(cdrveil_output_failures_total{S}[R]))", "{{output}}")]),
        ("timeseries", 8, "Rebalances and new producers", "short",
         "Changes of a lane's partitions, and producers made again after an unknown outcome. Both are normal at a restart and at no other time.",
         [("sum(increase(cdrveil_rebalances_total{S}[R]))", "rebalances"),
          ("sum(increase(cdrveil_producer_recreations_total{S}[R]))", "new producers")]),
        ("timeseries", 8, "Lanes by state", "short",
         "What the lanes do. Anything but running for long: runbook not-ready.",
         [("sum by (state) (cdrveil_lanes{S})", "{{state}}")]),
    ]),
    ("Keys and rates", [
        ("stat", 6, "Key in use", "short",
         "The epoch whose key calls of now get, and on how many instances.",
         [("count by (epoch) (cdrveil_keyring_active_key_info{S})", "{{epoch}}")]),
        ("stat", 6, "Next key begins", "s",
         "Time until the next key is used. Missing where there is none: runbook no-next-key.",
         [("min(cdrveil_keyring_next_activation_timestamp_seconds{S}) - time()", "in")]),
        ("stat", 6, "Last reloads successful", "percentunit",
         "Instances that took the last keyring, and the last rate deck and lists. Below 100 %: runbook reload-failed.",
         [("avg(cdrveil_keyring_last_reload_successful{S})", "keyring"),
          ("avg(cdrveil_deck_last_reload_successful{S})", "deck and lists")]),
        ("stat", 6, "Deck and lists", "short",
         "Rows of the rate deck, lists and maps in use, and prefixes that the last reload took away.",
         [("max by (list) (cdrveil_deck_rows{S})", "{{list}}"),
          ("max(cdrveil_deck_lost_prefixes{S})", "prefixes lost")]),
        ("timeseries", 12, "Reloads of deck and lists", "short",
         "Reloads by outcome. A refused one leaves the former files in use.",
         [("sum by (outcome) (increase(cdrveil_deck_reloads_total{S}[R]))", "{{outcome}}")]),
        ("timeseries", 12, "Age of deck and lists", "s",
         "Since when the rate deck and lists in use have been in use.",
         [("time() - cdrveil_deck_last_reload_success_timestamp_seconds{S}", "{{instance}}")]),
    ]),
    ("Process", [
        ("timeseries", 6, "CPU", "percentunit",
         "Cores in use; 100 % is one.",
         [("sum by (instance) (rate(process_cpu_seconds_total{S}[R]))", "{{instance}}")]),
        ("timeseries", 6, "Memory", "bytes",
         "Resident memory; most of it is librdkafka's queues.",
         [("sum by (instance) (process_resident_memory_bytes{S})", "{{instance}}")]),
        ("timeseries", 6, "Files and threads", "short",
         "Open files and threads.",
         [("sum by (instance) (process_open_fds{S})", "files, {{instance}}"),
          ("sum by (instance) (process_threads{S})", "threads, {{instance}}")]),
        ("timeseries", 6, "Uptime", "s",
         "Since the process began.",
         [("time() - process_start_time_seconds{S}", "{{instance}}")]),
        ("table", 24, "Versions", "short",
         "Instances by the version they run.",
         [("count by (version, instance) (cdrveil_build_info{S})", "{{version}}")]),
    ]),
]

KEYS = [
    ("Are the keys in order", [
        ("stat", 6, "Key in use", "short",
         "The epoch whose key calls of now get, and on how many instances. None: runbook no-active-key.",
         [("count by (epoch) (cdrveil_keyring_active_key_info{S})", "{{epoch}}")]),
        ("stat", 6, "Next key begins", "s",
         "Time until the next key is used. Missing where there is none: runbook no-next-key.",
         [("min(cdrveil_keyring_next_activation_timestamp_seconds{S}) - time()", "in")]),
        ("stat", 6, "Keyrings in use", "short",
         "Different keyrings among the instances: 1, but for seconds around a reload. Runbook keyrings-differ.",
         [("count(count by (fingerprint) (cdrveil_keyring_info{S}))", "keyrings")]),
        ("stat", 6, "Instances with a next key", "percentunit",
         "Instances whose keyring has a key that begins after now. Below 100 %: runbook no-next-key.",
         [("avg(cdrveil_keyring_next_key{S})", "instances")]),
    ]),
    ("Keyring", [
        ("table", 12, "Fingerprints", "short",
         "Which keyring each instance uses. `cdrveil keys list --json` tells a file's fingerprint.",
         [("count by (fingerprint, instance) (cdrveil_keyring_info{S})", "{{fingerprint}}")]),
        ("timeseries", 12, "Keys by state", "short",
         "In the words of NIST SP 800-57. A destroyed key stays in the keyring as a tombstone; a compromised one is still used for its window.",
         [("max by (state) (cdrveil_keyring_keys{S})", "{{state}}")]),
        ("timeseries", 12, "Epochs in the register", "short",
         "What the register says of the keyring in use. Any refused one: runbook register-refuses. Pending ones are claimed a day before they begin.",
         [("max by (state) (cdrveil_register_epochs{S})", "{{state}}")]),
        ("timeseries", 12, "Public records by epoch", "cps",
         "Records per second by the key their pseudonyms were made with. At a boundary they move from one to the next; late calls keep the former one alive for a while.",
         [("sum by (epoch) (rate(cdrveil_epoch_records_total{S}[R]))", "{{epoch}}")]),
        ("timeseries", 12, "Calls outside every key's window", "cps",
         "Records per second rejected because no key covers their time.",
         [('sum by (reason) (rate(cdrveil_records_rejected_total{S,reason=~"epoch-.*"}[R]))', "{{reason}}")]),
        ("timeseries", 12, "Records that would have shown an identifier", "cps",
         "Records per second that the egress guard stopped (reason leak): a kept field held a copy of an identifier. Mend the policy or the source.",
         [('sum(rate(cdrveil_records_rejected_total{S,reason="leak"}[R]))', "leak")]),
    ]),
    ("Reloads and sealed outputs", [
        ("timeseries", 8, "Keyring reloads", "short",
         "By outcome. A refused one leaves the former keyring in use. Runbook reload-failed.",
         [("sum by (outcome) (increase(cdrveil_keyring_reloads_total{S}[R]))", "{{outcome}}")]),
        ("timeseries", 8, "Age of the keyring", "s",
         "Since when each instance has used its keyring.",
         [("time() - cdrveil_keyring_last_reload_success_timestamp_seconds{S}", "{{instance}}")]),
        ("stat", 8, "Last reload successful", "percentunit",
         "Instances that took the last keyring they found.",
         [("avg(cdrveil_keyring_last_reload_successful{S})", "instances")]),
        ("timeseries", 12, "Sealed records", "cps",
         "Records per second to the restricted and rejected topics, which only the recipients' keys open.",
         [('sum by (output) (rate(cdrveil_records_written_total{S,output=~"restricted|rejected"}[R]))', "{{output}}")]),
        ("timeseries", 12, "Failed writes of sealed records", "short",
         "Times a write to these topics failed. Runbook restricted-failing.",
         [('sum by (output) (increase(cdrveil_output_failures_total{S,output=~"restricted|rejected"}[R]))', "{{output}}")]),
    ]),
]

HEIGHTS = {"stat": 4, "timeseries": 8, "table": 6}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def expression(query: str) -> str:
    return query.replace("{S}", "{" + SELECTOR + "}").replace("{S,", "{" + SELECTOR + ",").replace("[R]", RATE)


def options(kind: str) -> dict:
    if kind == "stat":
        return {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto"}
    if kind == "table":
        return {"showHeader": True}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def targets(kind: str, queries: list) -> list:
    made = []
    for at, (query, legend) in enumerate(queries):
        target = {
            "datasource": DATA_SOURCE,
            "editorMode": "code",
            "expr": expression(query),
            "legendFormat": legend,
            "refId": chr(ord("A") + at),
        }
        if kind == "table":
            target |= {"format": "table", "instant": True}
        made.append(target)
    return made


def panels(rows: list) -> list:
    made, y = [], 0
    for title, contents in rows:
        made.append({
            "collapsed": False, "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}, "id": len(made) + 1,
            "panels": [], "title": title, "type": "row",
        })
        y += 1
        x = height = 0
        for kind, width, name, unit, description, queries in contents:
            if x + width > WIDTH:
                x, y, height = 0, y + height, 0
            height = max(height, HEIGHTS[kind])
            made.append({
                "datasource": DATA_SOURCE,
                "description": description,
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "gridPos": {"h": HEIGHTS[kind], "w": width, "x": x, "y": y},
                "id": len(made) + 1,
                "options": options(kind),
                "targets": targets(kind, queries),
                "title": name,
                "type": kind,
            })
            x += width
        y += height
    return made


def variable(name: str, label: str, query: str) -> dict:
    return {
        "allValue": ".*", "current": {}, "datasource": DATA_SOURCE, "definition": query, "includeAll": True, "label": label,
        "multi": True, "name": name, "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "type": "query",
    }


def dashboard(uid: str, title: str, description: str, rows: list) -> dict:
    restarts = {
        "datasource": DATA_SOURCE, "enable": True, "expr": expression(f"changes(process_start_time_seconds{{S}}{RATE}) > 0"),
        "iconColor": "orange", "name": "Restarts", "step": "30s", "tagKeys": "instance", "titleFormat": "restart",
    }
    return {
        "annotations": {"list": [restarts]},
        "description": description,
        "editable": False,
        "graphTooltip": 1,
        "links": [{"asDropdown": False, "tags": ["cdrveil"], "title": "cdrveil", "type": "dashboards"}],
        "panels": panels(rows),
        "refresh": "30s",
        "schemaVersion": 39,
        "tags": ["cdrveil"],
        "templating": {"list": [
            {"label": "data source", "name": "datasource", "query": "prometheus", "type": "datasource"},
            variable("job", "job", "label_values(cdrveil_build_info, job)"),
            variable("instance", "instance", 'label_values(cdrveil_build_info{job=~"$job"}, instance)'),
        ]},
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "title": title,
        "uid": uid,
        "version": 1,
    }


def main() -> int:
    folder = Path(__file__).parent
    boards = {
        "overview.json": dashboard("cdrveil-overview", "cdrveil overview", "Is all well, how much, how fresh, what is refused.", OVERVIEW),
        "keys.json": dashboard("cdrveil-keys", "cdrveil keys and epochs", "For the security team: keys, epochs, the register, sealed outputs.", KEYS),
    }
    stale = []
    for name, board in boards.items():
        text = json.dumps(board, indent=2, sort_keys=True) + "\n"
        path = folder / name
        if sys.argv[1:] != ["--check"]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"{', '.join(stale)}: not what build.py writes; run python3 config/dashboards/build.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
