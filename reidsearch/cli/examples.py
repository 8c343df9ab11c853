"""An example or two of every command, for the end of its help."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "explore": ("reidsearch explore crops/ --save page.html", "reidsearch explore --stored"),
    "ingest": (
        "reidsearch ingest data/Market-1501-v15.09.15",
        "reidsearch ingest crops/ --pattern '{camera}_{timestamp}_*.jpg'",
    ),
    "query": (
        "reidsearch query somebody.jpg --camera lobby --exclude-camera",
        "reidsearch query a.jpg b.jpg --together --not c.jpg --save sheet.html",
    ),
    "evaluate": (
        "reidsearch evaluate --expand --spatio-temporal",
        "reidsearch evaluate --compare my-encoder.onnx --report report/",
    ),
    "calibrate": ("reidsearch calibrate --source matches",),
    "trace": (
        "reidsearch trace somebody.jpg --since 2024-05-01 --save trace.html",
        "reidsearch trace somebody.jpg --camera lobby --time 2024-05-01T12:00",
        "reidsearch trace a.jpg b.jpg --together --not c.jpg",
    ),
    "export": ("reidsearch export vectors.npz", "reidsearch export may.csv --since 2024-05-01"),
    "status": ("reidsearch status --json",),
    "encoders": ("reidsearch encoders --measure", "reidsearch encoders runs/ --json"),
    "doctor": ("reidsearch doctor --fix",),
    "forget": (
        "reidsearch forget --identity alice --dry-run",
        "reidsearch forget --before 2024-05-01 --yes",
    ),
    "audit": ("reidsearch audit --since 2024-05-01 --csv",),
    "move": (
        "reidsearch move --to http://qdrant:6333",
        "reidsearch move --to http://qdrant:6333 --to postgresql://me@db/people",
    ),
    "backup": ("reidsearch backup backups/",),
    "restore": (
        "reidsearch restore monday.reidsearch.zip --data-dir restored",
        "reidsearch restore monday.reidsearch.zip --qdrant-url http://localhost:6333",
    ),
    "claim": ("reidsearch claim --copy",),
    "serve": ("reidsearch serve --port 8080",),
    "token": ("reidsearch token gate-camera --role ingest",),
    "demo": ("reidsearch demo --out somewhere",),
}
