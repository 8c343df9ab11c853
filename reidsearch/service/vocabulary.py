"""What the library's hints say in braces, in the words of the HTTP door: fields for parameters, the
command line for what is set where the service runs. The page has names of its own for some."""

from collections.abc import Mapping

_FIELDS = (
    "camera", "only_cameras", "exclude_camera", "time", "split", "top_k", "min_score",
    "false_matches", "spatio_temporal", "expand", "rerank", "plain", "unlike", "name", "identity",
    "images", "before", "dataset", "site", "since", "until",
)  # fmt: skip
_RENAMED = {"only_cameras": "only_camera", "unlike": "not", "images": "image_id"}
_THERE = ("layout", "pattern", "prune", "follow_links", "root", "out", "save", "report", "compare",
          "source", "data_dir", "server", "token_file", "qdrant_url", "catalog_url", "encoder",
          "device", "to")  # fmt: skip
_VERBS = ("evaluate", "calibrate", "export", "doctor", "claim")

HTTP: Mapping[str, str] = (
    {name: f"the field {_RENAMED.get(name, name)}" for name in _FIELDS}
    | {name: f"`{name}` in the service's settings" for name in _THERE}
    | {verb: f"`reidsearch {verb}` where the service runs" for verb in _VERBS}
    | {
        "ingest": "POST /api/images",
        "query": "POST /api/query",
        "query_path": "POST /api/query with {path}",
        "trace": "POST /api/trace",
        "status": "GET /api/status",
        "audit": "GET /api/audit",
        "forget": "POST /api/forget",
        "split_train": "split=train",
        "prune_all": "`reidsearch ingest --prune --yes` where the service runs",
        "of_camera": "the field camera",
        "encoder_file": "`encoder` in the service's settings",
        "calibrate_matches": "`reidsearch calibrate --source matches` where the service runs",
        "calibrate_gallery": "`reidsearch calibrate --source gallery` where the service runs",
        "doctor_fix": "`reidsearch doctor --fix` where the service runs",
        "claim_copy": "`reidsearch claim --copy` where the service runs",
        "same_call": "the same request",
    }
)

PAGE: Mapping[str, str] = {
    **HTTP,
    "camera": "“Its camera” under Filters",
    "time": "“Taken at” under Filters",
    "only_cameras": "“Cameras” under Filters",
    "exclude_camera": "“Leave the picture's own camera out” under Filters",
    "since": "“From” under Filters",
    "until": "“To” under Filters",
    "site": "“Site” under Filters",
    "dataset": "“Data set” under Filters",
    "expand": "“expanded” under Ranking",
    "spatio_temporal": "“times” under Ranking",
    "plain": "“plain” under Ranking",
    "unlike": "“Not this one”",
    "min_score": "`reidsearch trace --min-score` in a terminal",
    "false_matches": "`reidsearch trace --false-matches` in a terminal",
    "ingest": "`reidsearch ingest FOLDER` where the service runs",
    "query": "“Pictures”",
    "trace": "“Trace”",
    "same_call": "the same search",
}
