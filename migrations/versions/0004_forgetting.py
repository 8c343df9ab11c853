"""What repair and forgetting need: a checksum of each vector, when an image was first recorded, and
who searched for whom."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("embedding", sa.Column("checksum", sa.BigInteger))
    op.add_column("image", sa.Column("added", sa.Float))
    # When images of before were recorded is not known; they are kept as if new.
    op.get_bind().execute(sa.text("UPDATE image SET added = :now"), {"now": time.time()})
    op.create_table(
        "query_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("operator", sa.String, nullable=False),
        sa.Column("command", sa.String, nullable=False),
        sa.Column("probe_sha256", sa.String, nullable=False),
        sa.Column("filters", sa.String, nullable=False),
        sa.Column("hits", sa.Integer, nullable=False),
        sa.Column("picture", sa.LargeBinary),
    )
