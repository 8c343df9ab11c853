"""The tables of the catalog. The scripts in ``migrations/`` make them; a test holds the two
together."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()
# SQLite's integers are as large as they need be, and its texts sort by their bytes.
Large = BigInteger().with_variant(Integer, "sqlite")
Sorted = String().with_variant(String(collation="C"), "postgresql")
UNFINISHED = text("state != 'indexed'")  # SQLite takes the index for queries that say just this

setting = Table(
    "setting",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)
# Where cameras and people have their names: data sets of one site share them, those of two do not.
site = Table(
    "site",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Sorted, nullable=False, unique=True),
)
dataset = Table(
    "dataset",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Sorted, nullable=False, unique=True),
    Column("root", String, nullable=False),
    Column("site_id", ForeignKey("site.id")),  # never null; SQLite adds no such column
    Column("layout", String),  # how it was read last; not known of those before 0006
    Column("machine", String),  # on whose disk it is, where many machines share the catalog
)
camera = Table(
    "camera",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site_id", ForeignKey("site.id"), nullable=False),
    Column("name", Sorted, nullable=False),
    UniqueConstraint("site_id", "name"),
)
identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site_id", ForeignKey("site.id"), nullable=False),
    Column("name", Sorted, nullable=False),  # names.JUNK and names.DISTRACTOR are nobody's
    UniqueConstraint("site_id", "name"),
)
image = Table(
    "image",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False, index=True),
    Column("split", String, nullable=False),
    Column("path", Sorted, nullable=False),
    Column("camera_id", ForeignKey("camera.id")),
    Column("identity_id", ForeignKey("identity.id")),
    Column("sequence", Large),
    Column("frame", Large),
    Column("timestamp", Float),  # seconds since 1970 UTC
    Column("size", Large),  # bytes
    Column("modified_ns", BigInteger),
    Column("sha256", String),
    Column("added", Float),  # when it was first recorded, seconds since 1970 UTC
    UniqueConstraint("dataset_id", "path"),
)
encoder = Table(
    "encoder",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    # Of which form the payloads of its vectors are, see stores.PAYLOAD_FORM.
    Column("payloads", Integer, nullable=False, server_default="1"),
)
embedding = Table(
    "embedding",
    metadata,
    Column("encoder_id", ForeignKey("encoder.id"), primary_key=True),
    Column("image_id", ForeignKey("image.id"), primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", String),  # why it failed
    Column("checksum", BigInteger),  # of the vector as stored; not known of those before 0004
    Column("worker", Integer),  # who takes it in, while it is pending
    Index(
        "ix_embedding_unfinished",
        "encoder_id",
        "state",
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    ),
)
# Small pictures of images, where the setting asks for them.
thumbnail = Table(
    "thumbnail",
    metadata,
    Column("image_id", ForeignKey("image.id"), primary_key=True),
    Column("picture", LargeBinary, nullable=False),
)
ingest_run = Table(
    "ingest_run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("encoder_id", ForeignKey("encoder.id"), nullable=False),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("ingested", Integer),
    Column("unchanged", Integer),
    Column("failed", Integer),
)

calibration = Table(
    "calibration",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("learned", Float, nullable=False),  # seconds since 1970 UTC
    Column("source", String, nullable=False),
    Column("encoder_id", ForeignKey("encoder.id"), nullable=False),
    Column("images", Integer, nullable=False),
    Column("transit", LargeBinary, nullable=False),
    Column("weight", Float, nullable=False),
    Column("cosines", LargeBinary, nullable=False),
    Column("scores", LargeBinary, nullable=False),
    Column("pairing", String),  # how matches were found; null with known people
    Column("sample", Integer),  # images whose scores were counted; not known of those before 0012
)
# Derived from vectors, and made anew from them when it is missing.
neighbours = Table(
    "neighbours",
    metadata,
    Column("encoder_id", ForeignKey("encoder.id"), primary_key=True),
    Column("split", String, primary_key=True),
    Column("model", LargeBinary, nullable=False),
)
# Vectors that carry their neighbours, derived likewise. ``form`` says how they are made, and with
# which camera ``means`` and ``cells``; what their scores mean is in ``cosines`` and ``scores``;
# ``generation`` grows with every change.
expansion = Table(
    "expansion",
    metadata,
    Column("encoder_id", ForeignKey("encoder.id"), primary_key=True),
    Column("form", String, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("cosines", LargeBinary),
    Column("scores", LargeBinary),
    Column("means", LargeBinary),  # null in those of before 0009, which are not current
    Column("cells", LargeBinary),  # null where all pairs are compared
)
expanded = Table(
    "expanded",
    metadata,
    Column("encoder_id", ForeignKey("encoder.id"), primary_key=True),
    Column("image_id", ForeignKey("image.id"), primary_key=True),
    Column("checksum", BigInteger, nullable=False),
    Column("due", Boolean, nullable=False, server_default=false()),  # it is to be made anew
)
# What the next batch needs of all images whose expanded vectors were made, in parts.
expanded_part = Table(
    "expanded_part",
    metadata,
    Column("encoder_id", ForeignKey("encoder.id"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("images", LargeBinary, nullable=False),  # what is known of each
    Column("copies", LargeBinary, nullable=False),  # its plain vector, roughly
)
query_log = Table(
    "query_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", Float, nullable=False),
    Column("operator", String, nullable=False),
    Column("command", String, nullable=False),
    Column("probe_sha256", String, nullable=False),
    Column("filters", String, nullable=False),  # a JSON object
    Column("hits", Integer, nullable=False),
    Column("picture", LargeBinary),  # the probe's file, only where the setting asks for it
)
# What else was searched with: more pictures of the person, and such of others.
query_picture = Table(
    "query_picture",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("query_id", ForeignKey("query_log.id"), nullable=False, index=True),
    Column("role", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("picture", LargeBinary),  # as that of query_log
)
