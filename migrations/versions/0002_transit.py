"""Transit times between cameras, as learned."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "transit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("learned", sa.Float, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("encoder_id", sa.Integer, sa.ForeignKey("encoder.id"), nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.Column("model", sa.LargeBinary, nullable=False),
    )
