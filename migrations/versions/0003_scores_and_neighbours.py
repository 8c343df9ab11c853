"""Distributions of scores join the transit times; the gallery's neighbours, for re-ranking."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.rename_table("transit", "calibration")
    with op.batch_alter_table("calibration") as table:
        table.alter_column("model", new_column_name="transit")
        table.add_column(sa.Column("cosines", sa.LargeBinary))
        table.add_column(sa.Column("scores", sa.LargeBinary))
    op.create_table(
        "neighbours",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("split", sa.String, primary_key=True),
        sa.Column("model", sa.LargeBinary, nullable=False),
    )
