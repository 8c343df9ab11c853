"""The first catalog: data sets, cameras, identities, images, encoders, embeddings, ingest runs."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    setting = op.create_table(
        "setting",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
    # Several catalogs may share one Qdrant server: this names their collections apart.
    op.bulk_insert(setting, [{"key": "catalog", "value": secrets.token_hex(4)}])
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("root", sa.String, nullable=False),
    )
    for table in ("camera", "identity"):
        op.create_table(
            table,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
            sa.Column("number", sa.Integer, nullable=False),
            sa.UniqueConstraint("dataset_id", "number"),
        )
    op.create_table(
        "image",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False, index=True
        ),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("camera_id", sa.Integer, sa.ForeignKey("camera.id")),
        sa.Column("identity_id", sa.Integer, sa.ForeignKey("identity.id")),
        sa.Column("sequence", sa.Integer),
        sa.Column("frame", sa.Integer),
        sa.Column("timestamp", sa.Float),
        sa.Column("size", sa.Integer),
        sa.Column("modified_ns", sa.BigInteger),
        sa.Column("sha256", sa.String),
        sa.UniqueConstraint("dataset_id", "path"),
    )
    op.create_table(
        "encoder",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False, unique=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
    )
    op.create_table(
        "embedding",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("image_id", sa.BigInteger, sa.ForeignKey("image.id"), primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String),
    )
    op.create_table(
        "ingest_run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("finished", sa.Float),
        sa.Column("ingested", sa.Integer),
        sa.Column("unchanged", sa.Integer),
        sa.Column("failed", sa.Integer),
    )
