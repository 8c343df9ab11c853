"""Weight and distributions of scores beside the transit times; the gallery's neighbours.

Transit times learned before are dropped: what belongs to them now has to be learned with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_table("transit")
    op.create_table(
        "calibration",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("learned", sa.Float, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("transit", sa.LargeBinary, nullable=False),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("cosines", sa.LargeBinary, nullable=False),
        sa.Column("scores", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "neighbours",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("split", sa.String, primary_key=True),
        sa.Column("model", sa.LargeBinary, nullable=False),
    )
