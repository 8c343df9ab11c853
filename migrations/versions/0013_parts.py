"""Whom each expanded vector carries, and what else a batch needs of those that came before it, kept
in parts. Which neighbours they had is not told anew: the next change makes all once more."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "expanded_part",
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("images", sa.LargeBinary, nullable=False),
        sa.Column("copies", sa.LargeBinary, nullable=False),
    )
    op.add_column(
        "expanded", sa.Column("due", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.execute("UPDATE expanded SET due = (made_of IS NULL)")
    op.drop_column("expanded", "made_of")
    op.drop_column("expanded", "neighbours")
