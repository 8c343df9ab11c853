"""Expanded vectors: which neighbours each one carries, and whether all of them are current."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "expansion",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("form", sa.String, nullable=False),
        sa.Column("current", sa.Boolean, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("cosines", sa.LargeBinary),
        sa.Column("scores", sa.LargeBinary),
    )
    op.create_table(
        "expanded",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("image_id", sa.BigInteger, sa.ForeignKey("image.id"), primary_key=True),
        sa.Column("made_of", sa.BigInteger),
        sa.Column("neighbours", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
    )
